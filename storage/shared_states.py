"""States of trainings under way, so that another machine goes on where one was killed.

    <url>/states/<stage>/<key20>/latest.json    which files, and the how-manieth state it is
    <url>/states/<stage>/<key20>/<sha256>       one file

A working store remembers beside the state which one it published or took last: a higher number in
the shared store is of a machine that came further.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from storage.artifacts import KEY_LETTERS
from storage.manifest import FileRecord, record_files
from storage.objects import Objects
from storage.sealing import sealed, unsealed
from storage.writing import json_text, replacing

STATES = "states"
LATEST = "latest.json"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _SharedState:
    number: int
    files: tuple[FileRecord, ...]
    version: str


class SharedStates:
    """Publishes and takes states.

    Args:
        objects: of the shared store.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def publish(self, stage: str, key: str, folder: Path, state: Path) -> None:
        """Publish the files of a folder as the state of a stage.

        Where another machine has published one meanwhile, its state stays.

        Args:
            stage: name of the stage.
            key: full fingerprint.
            folder: of files that do not change meanwhile.
            state: the stage's state folder, beside which the number is remembered.
        """
        place = _place(stage, key)
        before = self._latest(place)
        if before is not None and before.number > _remembered(state):
            return
        files = record_files(folder)
        there = {record.sha256 for record in before.files} if before else set()
        for record in files:
            if record.sha256 not in there:
                self._objects.upload(f"{place}/{record.sha256}", folder / record.path)
        number = max(before.number if before else 0, _remembered(state)) + 1
        text = json_text(sealed({"number": number, "files": [asdict(item) for item in files]}))
        name = f"{place}/{LATEST}"
        if before is None:
            written = self._objects.create(name, text.encode())
        else:
            written = self._objects.replace(name, text.encode(), before.version)
        if written is None:
            return
        _remember(state, number)
        unused = there - {record.sha256 for record in files}
        self._objects.delete(f"{place}/{sha256}" for sha256 in unused)

    def restore(self, stage: str, key: str, state: Path) -> None:
        """Take the shared state where it came further than the one in a state folder.

        One that is damaged is said, and left alone.
        """
        place = _place(stage, key)
        latest = self._latest(place)
        if latest is None or latest.number <= _remembered(state):
            return
        incoming = state.with_name("incoming")
        shutil.rmtree(incoming, ignore_errors=True)
        if not self._download(place, latest, incoming):
            _logger.warning(
                "%s is damaged: the work goes on without it.", self._objects.shown(place)
            )
            return
        shutil.rmtree(state)
        incoming.rename(state)
        _remember(state, latest.number)
        _logger.info("goes on from the state in %s", self._objects.shown(place))

    def drop(self, stage: str, key: str) -> None:
        """Remove the state of a stage."""
        place = _place(stage, key)
        self._objects.delete([f"{place}/{LATEST}"])
        self._objects.delete(item.name for item in self._objects.list(place))

    def _latest(self, place: str) -> _SharedState | None:
        read = self._objects.get(f"{place}/{LATEST}")
        if read is None:
            return None
        try:
            data = unsealed(json.loads(read.content), required=True)
            files = tuple(FileRecord(**record) for record in data["files"])
            number = int(data["number"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _SharedState(0, (), read.version)
        return _SharedState(number, files, read.version)

    def _download(self, place: str, latest: _SharedState, folder: Path) -> bool:
        """Whether every file came, and is what it should be."""
        for record in latest.files:
            parts = PurePosixPath(record.path)
            pieces = self._objects.download(f"{place}/{record.sha256}")
            if pieces is None or parts.is_absolute() or ".." in parts.parts:
                return False
            path = folder / record.path
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with path.open("wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != record.sha256:
                return False
        return folder.is_dir()


def _place(stage: str, key: str) -> str:
    return f"{STATES}/{stage}/{key[:KEY_LETTERS]}"


def _remembered(state: Path) -> int:
    try:
        return int(state.with_name("state.number").read_text())
    except (OSError, ValueError):
        return 0


def _remember(state: Path, number: int) -> None:
    with replacing(state.with_name("state.number")) as aside:
        aside.write_text(str(number))
