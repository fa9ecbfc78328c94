"""What an artifact says about itself: how it was made, and the digest of every file in it."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from storage.errors import DamagedArtifact, MissingArtifact, NewerSchema, StorageError
from storage.fingerprint import (
    digest_bytes,
    digest_file,
    digest_listing,
    list_files,
    plain_value,
)
from storage.sealing import sealed, unsealed
from storage.writing import write_json

MANIFEST_NAME = "manifest.json"
MANIFEST_SCHEMA_VERSION = 3
"""1 had no `accepted`; up to 2 the text had no digest of its own."""
_SEALED_FROM = 3
LOG_FOLDER = "log"
"""Files below it belong to the artifact but do not count towards its digest."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file: path relative to the artifact, size in bytes, SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A person's word that a change of code does not change what an artifact holds.

    Attributes:
        key: fingerprint under which the artifact is found from then on.
        code: module name to digest of the code that it was accepted for.
        why: reason given, or empty.
        date: of the day, such as "2026-01-31".
    """

    key: str
    code: dict[str, str]
    why: str
    date: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of `manifest.json`.

    Attributes:
        stage: name of the stage that made the artifact.
        key: fingerprint of everything that could change the result.
        config: the settings that can change the result.
        inputs: input name to digest of the artifact read.
        code: module name to digest of its code.
        version: version of the stage's meaning.
        files: every file, sorted by path.
        meta: what people want to know about the result; not part of the digest.
        digest: of all files outside `log/`: equal digests mean equal results.
        accepted: later code that was declared not to change the result; not part of the digest.
        schema_version: of the manifest itself.
    """

    stage: str
    key: str
    config: dict[str, Any]
    inputs: dict[str, str]
    code: dict[str, str]
    version: int
    files: tuple[FileRecord, ...]
    meta: dict[str, Any]
    digest: str
    accepted: tuple[Acceptance, ...] = ()
    schema_version: int = MANIFEST_SCHEMA_VERSION

    def acceptance(self, key: str) -> Acceptance | None:
        """What was said when the artifact was accepted under a key, if it was."""
        return next((item for item in self.accepted if item.key == key), None)


def record_files(folder: Path) -> tuple[FileRecord, ...]:
    """Hash every file below a folder, sorted by path."""
    return tuple(
        FileRecord(file.relative_to(folder).as_posix(), file.stat().st_size, digest_file(file))
        for file in list_files(folder)
        if file != folder / MANIFEST_NAME
    )


def check_output(output: Path, stage: str) -> None:
    """See that a folder can become an artifact.

    Raises:
        StorageError: if it is missing or holds links.
    """
    if not output.is_dir():
        raise StorageError(f"Stage {stage} has no output at {output}: run it again.")
    if (output / MANIFEST_NAME).exists():
        (output / MANIFEST_NAME).unlink()  # of a commit that did not get to the end
    for path in output.rglob("*"):
        if path.is_symlink():
            raise StorageError(
                f"{path} is a link, which an artifact cannot hold: copy the file into the output "
                f"of stage {stage} instead."
            )


def digest_records(files: tuple[FileRecord, ...]) -> str:
    """The artifact's digest: paths and contents of the files outside `log/`."""
    return digest_listing(
        [(file.path, file.sha256) for file in files if not file.path.startswith(f"{LOG_FOLDER}/")]
    )


def plain_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Meta as JSON; a number that is not finite (an undefined metric) becomes null."""
    plain: dict[str, Any] = plain_value(_null_for_non_finite(meta), "meta")
    return plain


def _null_for_non_finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return _null_for_non_finite(value.model_dump(mode="python"))
    if isinstance(value, Mapping):
        return {key: _null_for_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_non_finite(item) for item in value]
    return value


def sorted_by_age(dated: Iterable[tuple[int, Manifest]]) -> list[tuple[int, Manifest]]:
    """Manifests with their times, the newest first; of one time in the order of their keys."""
    return sorted(dated, key=lambda item: (item[0], item[1].key), reverse=True)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, with its own digest, into a folder whose other files are complete."""
    write_json(folder / MANIFEST_NAME, sealed(asdict(manifest)))


def read_manifest(folder: Path, stage: str) -> Manifest | None:
    """Read an artifact's manifest; None where there is none, so the folder is unfinished.

    Manifests from before they were sealed are still read: the files of their artifacts are as well
    verified as ever, and what they say for people is taken at its word.

    Raises:
        NewerSchema: if a newer version of the program wrote it.
        DamagedArtifact: if it is not a manifest, or contradicts itself.
    """
    path = folder / MANIFEST_NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return parse_manifest(content, path, stage)


def parse_manifest(content: bytes, path: Path | str, stage: str) -> Manifest:
    """The manifest that some bytes are.

    Args:
        content: of the file or object.
        path: of it, for people.
        stage: whose artifact it describes.

    Raises:
        NewerSchema: if a newer version of the program wrote it.
        DamagedArtifact: if it is not a manifest, or contradicts itself.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise damaged(path, stage, "is not text") from error
    try:
        data = json.loads(text)
        version = int(data["schema_version"])
        refuse_newer(path, "manifest", version, MANIFEST_SCHEMA_VERSION)
        data = unsealed(data, required=version >= _SEALED_FROM)
        files = tuple(FileRecord(**record) for record in data.pop("files"))
        accepted = tuple(Acceptance(**item) for item in data.pop("accepted", ()))
        manifest = Manifest(files=files, accepted=accepted, **data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, stage, "is not a manifest, or a damaged one") from error
    if manifest.digest != digest_records(files):
        raise damaged(path, stage, "contradicts itself")
    return manifest


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with its record; files that are not listed are ignored.

    Raises:
        DamagedArtifact: at the first file that is missing or differs in size or content.
    """
    for record in manifest.files:
        path = folder / record.path
        if not path.is_file():
            raise damaged(path, manifest.stage, "is missing")
        size = path.stat().st_size
        if size != record.bytes:
            raise damaged(
                path, manifest.stage, f"has {size} bytes, its manifest says {record.bytes}"
            )
        if digest_file(path) != record.sha256:
            raise damaged(path, manifest.stage, "does not have the digest its manifest says")


def read_verified(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The content of one file of an artifact; only this file is hashed.

    Raises:
        MissingArtifact: if the artifact has no such file.
        DamagedArtifact: if it is gone, or not what the manifest says.
    """
    record = next((record for record in manifest.files if record.path == name), None)
    if record is None:
        raise MissingArtifact(
            f"The artifact of stage {manifest.stage} in {folder} has no {name}: run the pipeline "
            "again to make one that has."
        )
    path = folder / name
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise damaged(path, manifest.stage, "is missing") from error
    if digest_bytes(content) != record.sha256:
        raise damaged(path, manifest.stage, "does not have the digest its manifest says")
    return content


def damaged(path: Path | str, stage: str, complaint: str) -> DamagedArtifact:
    """The one sentence about a damaged file of a stage."""
    return DamagedArtifact(
        f"{path} of stage {stage} {complaint}: run again with `--refresh {stage}` to rebuild it."
    )


def refuse_newer(path: Path | str, what: str, found: int, known: int) -> None:
    """Stop at anything that a newer version of the program wrote.

    Raises:
        NewerSchema: if `found` exceeds `known`, stating both.
    """
    if found > known:
        raise NewerSchema(
            f"The {what} at {path} has schema version {found} and this program knows versions up "
            f"to {known}: update the program or use another folder."
        )
