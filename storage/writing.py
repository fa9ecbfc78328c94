"""Writing files so that a reader sees the old content or the new one, never half of either."""

import errno
import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.errors import DiskFull, NotWritable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# Libraries in Rust and SQLite raise exceptions of their own, which carry only the words.
_FULL_WORDS = ("no space left on device", "disk quota exceeded", "database or disk is full")


@contextmanager
def translate_disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's complaints about a disk into one plain sentence.

    Args:
        path: what is being written, to be named in the sentence.

    Raises:
        DiskFull: in place of whatever a full disk or used-up quota raised inside.
        NotWritable: in place of an OSError about permissions or a read-only disk.
    """
    try:
        yield
    except (DiskFull, NotWritable):
        raise
    except Exception as error:
        if _means_full(error):
            raise DiskFull(
                f"The disk is full while writing {path}: free some space and run the same command "
                "again, which continues from what is finished; nothing finished is lost."
            ) from error
        if isinstance(error, OSError) and error.errno in _FORBIDDEN:
            raise NotWritable(
                f"{error.filename or path} may not be written: change its permissions or choose "
                "another folder."
            ) from error
        raise


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        NotWritable: if a file is in the way, or the system has no place for it.
        DiskFull: if the disk is full.
    """
    with translate_disk_errors(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
            raise NotWritable(
                f"{path} cannot be made a folder: a file is in the way, or there is no such place; "
                "choose another name."
            ) from error


def _means_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    text = str(error).lower()
    return any(words in text for words in _FULL_WORDS)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it to `path` if all went well.

    Raises:
        DiskFull: if the disk is full.
        NotWritable: if the folder may not be written.
    """
    # Named at random: two processes may write the same file at once.
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    if path.is_dir():
        raise NotWritable(f"{path} is a folder: name a file to write.")
    make_folder(path.parent)
    with translate_disk_errors(path):
        try:
            yield aside
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def exchange_folder(output: Path, target: Path, aside: Path) -> None:
    """Rename a finished folder to its place.

    Args:
        output: the folder.
        target: its place; its parent exists.
        aside: where what was there goes, and comes back from if the rename fails; dropped first.
    """
    shutil.rmtree(aside, ignore_errors=True)
    if not target.exists():
        output.rename(target)
        return
    target.rename(aside)
    try:
        output.rename(target)
    except OSError:
        aside.rename(target)
        raise


def write_json(path: Path, plain: Any) -> None:
    """Write JSON for people: indented, sorted, ending in a newline.

    Raises:
        DiskFull: if the disk is full.
    """
    text = json_text(plain)
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def json_text(plain: Any) -> str:
    """JSON for people: indented, sorted, ending in a newline."""
    text = json.dumps(plain, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return f"{text}\n"
