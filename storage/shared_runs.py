"""Records of runs that many machines share, numbered in one row."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.locks import hold_lock
from storage.objects import Objects
from storage.runs import RunRecords
from storage.writing import replacing

RUNS = "runs"
_NAME = re.compile(r"runs/(\d+)\.json")


class SharedRunRecords(RunRecords):
    """Run records of a shared store, with those that were read in a local folder.

    Args:
        folder: local; made at the first record.
        objects: of the shared store.
    """

    def __init__(self, folder: Path, objects: Objects) -> None:
        super().__init__(folder)
        self._objects = objects

    def add(self, name: str, content: Mapping[str, Any]) -> Path:
        """As of every store: under the next number that is free on all machines."""
        with hold_lock(self.folder / ".lock", "records its run"):
            number = max(self._shared(), default=0)
            created, file, text = None, "", b""
            while created is None:  # another machine may take the number meanwhile
                number += 1
                file, text = self.text(number, name, content)
                created = self._objects.create(f"{RUNS}/{number:06d}.json", text)
            with replacing(self.folder / file) as aside:
                aside.write_bytes(text)
        return self.folder / file

    def latest(self) -> dict[str, Any]:
        """As of every store: of all machines."""
        number = max(self._shared(), default=0)
        if number and number not in self._by_number():
            read = self._objects.get(f"{RUNS}/{number:06d}.json")
            if read is not None:
                with replacing(self.folder / f"{number:06d}-of-another-machine.json") as aside:
                    aside.write_bytes(read.content)
        return super().latest()

    def _shared(self) -> list[int]:
        """Numbers of the records in the shared store."""
        names = (_NAME.fullmatch(item.name) for item in self._objects.list(RUNS))
        return [int(match.group(1)) for match in names if match]
