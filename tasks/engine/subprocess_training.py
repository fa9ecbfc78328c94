"""Training in a process of its own: followed, tracked, resumed.

A child gives back all memory, can be killed alone, and needs no orchestrator. It writes
`metrics.jsonl`; the parent forwards its lines to the tracker, which leaves out what a resumed run
has already.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phrase_models.errors import UserError
from phrase_models.training.local_processes import LOST_CODE
from storage.writing import write_json
from tasks.engine.child_process import child_environment, stop_child
from tasks.engine.failures import ProcessEnded
from tasks.engine.metrics_lines import read_metrics, read_small_json
from tasks.engine.shared_checkpoints import sharing_checkpoints

if TYPE_CHECKING:
    from phrase_models.training.specification import TrainingSpecification
    from tasks.engine.stage import StageContext

logger = logging.getLogger(__name__)
TRAINER = "phrase_models.train"
POLL_SECONDS = 0.5
STOP_SECONDS = 2.0
LOG_LINES = 15


class TrainingFailedError(RuntimeError):
    """The training process ended with an error that is a fault of the program."""


def run_training(context: StageContext, spec: TrainingSpecification) -> dict[str, Any]:
    """Train by specification into the stage's output folder.

    Args:
        context: of the stage.
        spec: of a kind that `phrase_models.train` reads; its paths are absolute.

    Returns:
        The content of the child's `result.json`, and "training_seconds".

    Raises:
        UserError: if the child ends with exit code 2, with the stage's name and its sentence.
        TrainingFailedError: for any other failure, with the end of its log.
    """
    spec_path = context.state / "spec.json"
    spec_path.write_text(spec.model_dump_json(indent=1))
    log_path = context.state / "log.txt"
    command = [
        *(sys.executable, "-m", TRAINER),
        *("--spec", str(spec_path.resolve())),
        *("--state", str(context.state.resolve())),
        *("--output", str(context.output.resolve())),
        *("--parent", str(os.getpid())),
    ]
    follower = MetricsFollower(context)
    warnings = WarningsFollower(log_path)
    clock = TrainingClock(context.state / "seconds.json")
    with log_path.open("a") as log, _stoppable(), sharing_checkpoints(context):
        child = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=context.lock_fds,
            env=child_environment(
                OMP_NUM_THREADS=str(spec.hardware.num_threads),
                OMP_WAIT_POLICY=os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
            ),
        )
        try:
            while _runs(child):
                follower.forward()
                warnings.forward()
                clock.save()
        finally:
            stop_child(child, STOP_SECONDS)  # the last checkpoint is kept
    follower.forward()
    warnings.forward()
    if child.returncode == 2:
        raise UserError(f"Stage {context.stage}: {_last_lines(log_path, 1)}")
    if child.returncode != 0:
        lost = child.returncode < 0 or child.returncode == LOST_CODE
        failure = ProcessEnded if lost else TrainingFailedError
        message = f"training {_ending(child.returncode)}:\n{_last_lines(log_path, LOG_LINES)}"
        raise failure(message)
    (context.output / "log").mkdir(exist_ok=True)
    shutil.copyfile(log_path, context.output / "log" / "training.txt")
    result: dict[str, Any] = json.loads((context.output / "result.json").read_text())
    return {**result, "training_seconds": round(clock.save(), 1)}


class TrainingClock:
    """Seconds of training, those before a kill included."""

    def __init__(self, path: Path) -> None:
        self.path = path
        before = read_small_json(path)
        self.before = float(before) if isinstance(before, int | float) else 0.0
        self.started = time.monotonic()

    def save(self) -> float:
        """Write the seconds so far, and return them."""
        seconds = self.before + time.monotonic() - self.started
        write_json(self.path, round(seconds, 1))
        return seconds


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that the child is stopped and the tracked run closed.

    Whoever handles the signal already, as Prefect does under a worker, is left to it.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _runs(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    return f"ended with code {code}"


def _last_lines(path: Path, count: int) -> str:
    return "\n".join(path.read_text(errors="replace").strip().splitlines()[-count:])


class WarningsFollower:
    """Says what a training process warns of in its log, such as a damaged checkpoint."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.place = log.stat().st_size if log.exists() else 0

    def forward(self) -> None:
        """Say what is new."""
        with self.log.open("rb") as file:
            file.seek(self.place)
            lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self.place += sum(map(len, whole))
        for line in whole:
            _, warns, sentence = line.decode(errors="replace").partition(" WARNING ")
            if warns:
                logger.warning("%s", sentence.strip())


class MetricsFollower:
    """Forwards what a training process writes to the tracker and to the progress display.

    A resumed process cuts its metrics back to the checkpoint and writes the same lines again, so
    the number of lines sent tells what is new.
    """

    def __init__(self, context: StageContext) -> None:
        self.context = context
        self.metrics = context.state / "metrics.jsonl"
        self.num_sent = 0

    def forward(self) -> None:
        """Send what is new."""
        records = read_metrics(self.metrics)
        for record in records[self.num_sent :]:
            self.context.tracker.log_metrics(record["step"], record["values"])
        self.num_sent = max(self.num_sent, len(records))
        self._report()

    def _report(self) -> None:
        progress = read_small_json(self.context.state / "progress.json")
        try:
            done, total = progress["step"], progress["num_steps"]
            left = (total - done) * progress["seconds_per_step"] / 60
        except (TypeError, KeyError):
            return
        self.context.report_progress(done / total, f"step {done} of {total}, {left:.0f} min left")
