"""What is to be tracked, on disk first: it waits there while the tracking server is away.

    <store>/mlflow/waiting/<name>/run.json       what run it becomes
    <store>/mlflow/waiting/<name>/events.jsonl   parameters, tags, metrics, files, how it ended
    <store>/mlflow/waiting/<name>/files/         copies of files, as they were
    <store>/mlflow/waiting/<name>/sent.json      how far it has been sent
    <store>/mlflow/waiting/<name>/.lock          held by who writes or sends it

A journal is removed when all of it has been sent and the run has ended.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from storage.writing import write_json

RUN_FILE, EVENTS_FILE, SENT_FILE = "run.json", "events.jsonl", "sent.json"
LOCK_FILE = ".lock"


@dataclass(frozen=True)
class RunPlan:
    """The run that a journal becomes.

    Attributes:
        experiment: name of its experiment.
        name: of the run.
        run_id: of a run that was begun before and goes on, or None.
        remembered: file that is told the run's id, where its folder is still there; None for runs
            that never go on.
        once: tag name and value; where the experiment has a run with it, that run stays as it is,
            and models alone are sent.
    """

    experiment: str
    name: str
    run_id: str | None = None
    remembered: str | None = None
    once: tuple[str, str] | None = None

    def goes_on_as(self, plan: RunPlan) -> bool:
        """Whether another plan is the same work, gone on with after a kill."""
        same = (self.experiment, self.name, self.remembered)
        return (
            self.remembered is not None
            and Path(self.remembered).exists()
            and same == (plan.experiment, plan.name, plan.remembered)
        )


@dataclass
class Progress:
    """How far a journal has been sent.

    Attributes:
        run_id: of the run, once there is one.
        offset: bytes of the events that have been sent.
        last_steps: of each metric the last step that the run has; None if that is not known.
        tracked_before: whether the run is an earlier one that says the same, so that of this
            journal models alone are sent.
    """

    run_id: str | None = None
    offset: int = 0
    last_steps: dict[str, int] | None = field(default=None)
    tracked_before: bool = False


class Journal:
    """One run's events on disk.

    Args:
        folder: of the journal.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_name(cls, waiting: Path, name: str) -> Journal:
        """One that is not there yet, in the folder of those that wait."""
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run"
        return cls(waiting / f"{slug}-{secrets.token_hex(6)}")

    def begin(self, plan: RunPlan) -> None:
        """Say what run it becomes; hold its lock.

        Raises:
            DiskFull: if the disk is full.
            NotWritable: if the folder may not be written.
        """
        write_json(self.folder / RUN_FILE, asdict(plan))

    @property
    def name(self) -> str:
        """Of the journal, unlike that of any other."""
        return self.folder.name

    @property
    def lock(self) -> Path:
        """File that whoever writes or sends it holds."""
        return self.folder / LOCK_FILE

    @property
    def ended(self) -> bool:
        """Whether its last event says how the run ended."""
        last = [(kind, content) for kind, content, _ in self.events(0)][-1:]
        return bool(last) and last[0][0] == "status" and last[0][1] != "RUNNING"

    @property
    def plan(self) -> RunPlan:
        """The run that it becomes."""
        plain = json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8"))
        once = plain.pop("once")
        return RunPlan(**plain, once=tuple(once) if once else None)

    def append(self, kind: str, content: Any) -> None:
        """Write an event, {kind: content}.

        Kinds are "params", "tags", "metrics", "file", "folder", "stages", "model" and "status".
        """
        line = json.dumps({kind: content}) + "\n"
        with (self.folder / EVENTS_FILE).open("a", encoding="utf-8") as file:
            file.write(line)

    def mend(self) -> None:
        """Cut off a line that a process did not finish before it was killed."""
        path = self.folder / EVENTS_FILE
        if path.exists():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)

    def keep(self, path: Path) -> str:
        """Copy a file or folder into the journal; returns where it is, from the journal's folder.

        Files of a store never change, so a second name for one is as good as a copy.
        """
        number = len(list((self.folder / "files").glob("*")))
        target = self.folder / "files" / str(number) / path.name
        target.parent.mkdir(parents=True)
        if path.is_dir():
            shutil.copytree(path, target, copy_function=_link_or_copy)
        else:
            _link_or_copy(path, target)
        return target.relative_to(self.folder).as_posix()

    def keep_as(self, files: Mapping[str, Path], texts: Mapping[str, str]) -> str:
        """A folder in the journal of files and texts by their paths in it; returns where it is."""
        folder = self.folder / "files" / str(len(list((self.folder / "files").glob("*"))))
        folder.mkdir(parents=True)
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(path, folder / name)
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return folder.relative_to(self.folder).as_posix()

    def progress(self) -> Progress:
        """How far it has been sent."""
        path = self.folder / SENT_FILE
        if not path.exists():
            return Progress()
        return Progress(**json.loads(path.read_text(encoding="utf-8")))

    def save_progress(self, progress: Progress) -> None:
        """Write down how far it has been sent."""
        write_json(self.folder / SENT_FILE, asdict(progress))

    def events(self, offset: int) -> Iterator[tuple[str, Any, int]]:
        """Events from a byte on: kind, content, and the byte after it."""
        path = self.folder / EVENTS_FILE
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                event: Mapping[str, Any] = json.loads(line)
                for kind, content in event.items():
                    yield kind, content, offset

    def drop(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def waiting_journals(waiting: Path) -> list[Journal]:
    """Journals that have not been sent to their end, the oldest first."""
    found = [path.parent for path in waiting.glob(f"*/{RUN_FILE}")]
    return [Journal(folder) for folder in sorted(found, key=_begun)]


def _begun(folder: Path) -> tuple[int, str]:
    return ((folder / RUN_FILE).stat().st_mtime_ns, folder.name)


def _link_or_copy(source: Any, target: Any) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
