"""Numbered records of pipeline runs, one JSON file each."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.errors import MissingArtifact, StorageError
from storage.locks import hold_lock
from storage.manifest import refuse_newer
from storage.sealing import sealed, unsealed
from storage.writing import json_text, replacing

RUN_SCHEMA_VERSION = 2
"""1 had no digest of its own."""
_SEALED_FROM = 2
_FILE_NAME = re.compile(r"(\d+)-.*\.json")


class RunRecords:
    """The folder of run records.

    Args:
        folder: made at the first record.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a record under the next free number.

        Args:
            name: of the run; letters that do not suit a file name become hyphens.
            content: plain values to keep beside name and number.

        Raises:
            DiskFull: if the disk is full.
        """
        with hold_lock(self.folder / ".lock", "records its run"):
            number = max(self._by_number(), default=0) + 1
            file, text = self.text(number, name, content)
            path = self.folder / file
            with replacing(path) as aside:
                aside.write_bytes(text)
        return path

    @staticmethod
    def text(number: int, name: str, content: Mapping[str, Any]) -> tuple[str, bytes]:
        """File name and text of the record of a number; see `add`."""
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run"
        known = {"schema_version": RUN_SCHEMA_VERSION, "number": number, "name": name}
        text = json_text(sealed({**content, **known}))
        return f"{number:06d}-{slug}.json", text.encode()

    def latest(self) -> dict[str, Any]:
        """The record with the highest number.

        Raises:
            MissingArtifact: if there is none.
            NewerSchema: if a newer version of the program wrote it.
            StorageError: if the file is not a record.
        """
        by_number = self._by_number()
        if not by_number:
            raise MissingArtifact(
                f"No run is recorded in {self.folder}: run the pipeline first, or name another "
                "store."
            )
        path = by_number[max(by_number)]
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            version = int(record["schema_version"])
            refuse_newer(path, "run record", version, RUN_SCHEMA_VERSION)
            record = unsealed(record, required=version >= _SEALED_FROM)
            known = {"number", "name", "refs", "extra"} <= record.keys()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _not_a_record(path) from error
        if not known:
            raise _not_a_record(path)
        return record

    def _by_number(self) -> dict[int, Path]:
        matches = ((_FILE_NAME.fullmatch(path.name), path) for path in self.folder.glob("*.json"))
        return {int(match.group(1)): path for match, path in matches if match}


def _not_a_record(path: Path) -> StorageError:
    return StorageError(
        f"{path} is not a run record, or a damaged one: remove the file and run the pipeline again."
    )
