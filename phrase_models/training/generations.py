"""Two generations of a training's state on disk, each with the digests of its files.

`checkpoint` is the newest, `checkpoint.previous` the one before it. What is found damaged is
renamed to `checkpoint.damaged` or `checkpoint.previous.damaged`, and the other one is used.
"""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from phrase_models.whole_files import sync_folder, write_synced

DIGESTS_FILE = "digests.json"


class DamagedGenerationError(Exception):
    """A generation that is not what was written; the message says why, without a full stop."""


def save_generation(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a generation that has reached the disk when this returns; the newest becomes older.

    A kill at any point leaves a whole generation in place.

    Args:
        folder: of the newest generation.
        files: names and contents, each written and forgotten before the next is asked for.

    Raises:
        OSError: if it cannot be written; the generations there are stay.
    """
    aside = folder.with_suffix(".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    digests = {}
    for name, content in files:
        write_synced(aside / name, content)
        digests[name] = hashlib.sha256(content).hexdigest()
    write_synced(aside / DIGESTS_FILE, json.dumps(digests, indent=1).encode())
    sync_folder(aside)
    newest, previous, dropped = generations_of(folder)
    if newest.exists():
        # By names alone: at no moment is there but one whole generation.
        shutil.rmtree(dropped, ignore_errors=True)
        if previous.exists():
            previous.rename(dropped)
        newest.rename(previous)
    aside.rename(newest)
    sync_folder(folder.parent)
    shutil.rmtree(dropped, ignore_errors=True)


def load_generation(
    folder: Path, expected: Collection[str]
) -> tuple[dict[str, bytes] | None, list[str]]:
    """The newest generation that is whole; one that is not is set aside.

    Args:
        folder: of the newest generation.
        expected: names that a generation has to hold.

    Returns:
        Content by name, or None where there is no whole generation; and what was set aside, as
        beginnings of sentences.
    """
    complaints = []
    for generation in generations_of(folder):
        try:
            files = _read(generation, expected)
        except DamagedGenerationError as error:
            complaints.append(
                f"{generation} is damaged ({error}) and was set aside as "
                f"{_set_aside(generation).name}"
            )
            continue
        if files is not None:
            if generation != folder:
                generation.rename(folder)  # or the next save would drop it before it is written
            return files, complaints
    return None, complaints


def generations_of(folder: Path) -> tuple[Path, Path, Path]:
    """Where the newest generation is, the one before it, and one that is about to be removed."""
    return folder, folder.with_suffix(".previous"), folder.with_suffix(".dropped")


def _read(folder: Path, expected: Collection[str]) -> dict[str, bytes] | None:
    if not folder.exists():
        return None
    try:
        digests = json.loads((folder / DIGESTS_FILE).read_bytes())
    except OSError as error:
        raise DamagedGenerationError(f"{DIGESTS_FILE} cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise DamagedGenerationError(f"{DIGESTS_FILE} is no JSON") from error
    if not isinstance(digests, dict) or not digests.keys() >= {*expected}:
        raise DamagedGenerationError(f"{DIGESTS_FILE} does not list what it should")
    return {name: _read_file(folder / name, digest) for name, digest in digests.items()}


def _read_file(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DamagedGenerationError(f"{path.name} cannot be read") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise DamagedGenerationError(f"{path.name} does not have its digest")
    return content


def _set_aside(folder: Path) -> Path:
    aside = folder.with_suffix(f"{folder.suffix}.damaged")
    if aside.is_dir():
        shutil.rmtree(aside)
    aside.unlink(missing_ok=True)
    folder.rename(aside)
    return aside
