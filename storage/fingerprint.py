"""Digests of values, files and folders that are the same in every process and on every machine.

Deliberately strict: a value of unknown type is refused instead of hashed by its `repr` or pickle,
because a key that differs between processes would silently recompute days of work.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from pathlib import Path, PurePath
from typing import Any


def plain_value(value: Any, where: str = "value") -> Any:
    """Turn a value into JSON's own types.

    Args:
        value: mapping with string keys, list, tuple, set, str, int, float, bool, None, Path, Enum,
            or an object with pydantic's `model_dump`.
        where: what to call the value in an error.

    Returns:
        The same content as dict, list, str, int, float, bool or None. Sets become lists sorted by
        their canonical JSON; paths take forward slashes; enums become their value.

    Raises:
        TypeError: for any other type, naming the place inside the value.
        ValueError: for a float that is not finite.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain_value(value.value, where)
    for plain in (str, int):
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, which has no canonical form")
        return float(value)
    if isinstance(value, PurePath):
        return value.as_posix()
    return _plain_container(value, where)


def _plain_container(value: Any, where: str) -> Any:
    if hasattr(value, "model_dump") and not isinstance(value, type):
        # "python" mode: the "json" mode would list sets in the order of this process's hash seed.
        return plain_value(value.model_dump(mode="python"), where)
    if isinstance(value, Mapping):
        return {
            _plain_key(key, where): plain_value(item, f"{where}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain_value(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Set):
        return sorted((plain_value(item, where) for item in value), key=_dump)
    raise TypeError(f"{where} is a {type(value).__name__}, which has no canonical form")


def _plain_key(key: Any, where: str) -> str:
    key = key.value if isinstance(key, Enum) else key
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {key!r}; keys must be strings")
    return str(key)


def _dump(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, ASCII only.

    Raises:
        TypeError: where the value holds a type that `plain_value` does not know.
        ValueError: where it holds a float that is not finite.
    """
    return _dump(plain_value(value))


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return digest_bytes(canonical_json(value).encode("ascii"))


def digest_bytes(content: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_listing(files: Sequence[tuple[str, str]]) -> str:
    """Digest of a set of files given as (relative path, SHA-256), in whatever order."""
    return digest_json(sorted(files))


def list_files(folder: Path) -> list[Path]:
    """Every file below a folder, sorted by relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def digest_folder(path: Path) -> str:
    """Digest of all files below a folder: relative paths and contents, not times or modes."""
    return digest_listing(
        [(file.relative_to(path).as_posix(), digest_file(file)) for file in list_files(path)]
    )
