"""Files that hold the old content or the new one, after a kill and after a power cut."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

_DIGEST_BYTES = 32


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, have it reach the disk, and rename it to its place.

    Its mode follows the umask, so that whoever shares the folder can read it.

    Raises:
        OSError: if it cannot be written; what was there is still there.
    """
    aside = path.with_name(f"{path.name}.tmp")
    write_synced(aside, content)
    aside.replace(path)
    sync_folder(path.parent)


def write_whole_json(path: Path, plain: Any, *, indent: int | None = None) -> None:
    """Write plain values as JSON; see `write_whole`."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(plain, indent=indent, separators=separators)
    write_whole(path, text.encode())


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file that ends in its own digest, for `read_sealed`; see `write_whole`."""
    write_whole(path, content + hashlib.sha256(content).digest())


def read_sealed(path: Path) -> bytes | None:
    """What `write_sealed` wrote, without the digest; None where it is missing or damaged."""
    try:
        sealed = path.read_bytes()
    except OSError:
        return None
    content, digest = sealed[:-_DIGEST_BYTES], sealed[-_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def write_synced(path: Path, content: bytes) -> None:
    """Write a file that has reached the disk when this returns."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
