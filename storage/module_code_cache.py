"""What source files say, kept beside the working stores: each is parsed once on a machine.

A file of the cache belongs to one source file and is written again when that changes, so the cache
is no larger than the checkouts. It is never needed: where it cannot be read or written, or says
nothing sensible, the source is parsed.
"""

import json
import os
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from storage import module_code as parser
from storage.errors import StorageError
from storage.fingerprint import digest_bytes, digest_json
from storage.module_code import ImportedNames, ModuleCode, module_code
from storage.paths import cache_folder
from storage.writing import replacing

_FOLDER_NAME = "code"
"""Below the cache's folder; working stores there end in twelve hexadecimal digits."""


def cached_module_code(path: Path, roots: tuple[str, ...]) -> ModuleCode:
    """As `module_code` of a file's text, which is parsed only if the cache does not know it.

    Raises:
        SyntaxError, UnicodeDecodeError: if the file is not Python.
        RelativeImportError: if it has a relative import.
    """
    content = path.read_bytes()
    source = digest_json([digest_bytes(content), roots, _parser_digest()])
    kept = _kept_file(path)
    code = None if kept is None else _read(kept, source)
    if code is None:
        code = module_code(content.decode("utf-8"), roots)
        if kept is not None:
            _write(kept, {"source": source, **asdict(code)})
    return code


def _kept_file(path: Path) -> Path | None:
    """The file of the cache for a source file; None for a user who has no place for one."""
    try:
        folder = cache_folder()
    except StorageError:
        return None
    return folder / _FOLDER_NAME / f"{digest_bytes(os.fsencode(path))[:32]}.json"


@cache
def _parser_digest() -> str:
    """Of what decides how a text is read: the parser's own code, and Python's grammar."""
    return digest_json([digest_bytes(Path(parser.__file__).read_bytes()), *sys.version_info[:3]])


def _read(kept: Path, source: str) -> ModuleCode | None:
    try:
        plain = json.loads(kept.read_bytes())
        if plain["source"] != source:
            return None
        imports = tuple(
            ImportedNames(str(names["text"]), tuple(names["modules"]), tuple(names["members"]))
            for names in plain["imports"]
        )
        return ModuleCode(str(plain["digest"]), imports, bool(plain["empty"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(kept: Path, plain: dict[str, Any]) -> None:
    try:
        with replacing(kept) as aside:
            aside.write_text(json.dumps(plain), encoding="utf-8")
    except (OSError, StorageError):
        return  # a full disk or a home that may not be written costs time alone
