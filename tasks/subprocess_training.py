"""Training in a process of its own: followed, tracked, resumed.

A child gives back all memory, can be killed alone, and needs no orchestrator. It writes
`metrics.jsonl`; the parent forwards new lines to the tracker, remembering how many it has sent, so
a resumed run continues its curves.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phrase_models.errors import UserError

if TYPE_CHECKING:
    from tasks.stage import StageContext

POLL_SECONDS = 0.5
LOG_LINES = 15
ROOT = Path(__file__).resolve().parents[1]


class TrainingFailedError(RuntimeError):
    """The training process ended with an error that is a fault of the program."""


def run_training(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Train by specification (see `phrase_models.train`) into the stage's output folder.

    Returns:
        The content of the child's `result.json`.

    Raises:
        UserError: if the child ends with exit code 2, with its sentence.
        TrainingFailedError: for any other failure, with the end of its log.
    """
    runtime = context.runtime
    spec_path = context.state / "spec.json"
    whole = {**spec, "device": runtime.device, "num_threads": runtime.num_threads}
    spec_path.write_text(json.dumps(whole, indent=1))
    log_path = context.state / "log.txt"
    command = [
        *(sys.executable, "-m", "phrase_models.train"),
        *("--spec", str(spec_path.resolve())),
        *("--state", str(context.state.resolve())),
        *("--output", str(context.output.resolve())),
        *("--parent", str(os.getpid())),
    ]
    with log_path.open("a") as log:
        child = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=context.lock_fds,
            env=_environment(runtime.num_threads),
        )
        follower = MetricsFollower(context)
        try:
            while child.poll() is None:
                follower.forward()
                time.sleep(POLL_SECONDS)
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                child.wait()
    follower.forward()
    if child.returncode == 2:
        raise UserError(_last_lines(log_path, 1))
    if child.returncode != 0:
        message = (
            f"training ended with code {child.returncode}:\n{_last_lines(log_path, LOG_LINES)}"
        )
        raise TrainingFailedError(message)
    result: dict[str, Any] = json.loads((context.output / "result.json").read_text())
    return result


def _environment(num_threads: int) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(num_threads),
    }


def _last_lines(path: Path, count: int) -> str:
    return "\n".join(path.read_text().strip().splitlines()[-count:])


class MetricsFollower:
    """Forwards what a training process writes to the tracker and to the progress display.

    A resumed run cuts its metrics back to the checkpoint and writes the same lines again, so the
    number of lines sent tells what is new.
    """

    def __init__(self, context: StageContext) -> None:
        self.context = context
        self.metrics = context.state / "metrics.jsonl"
        self.counter = context.state / "lines_tracked"
        self.num_sent = int(self.counter.read_text()) if self.counter.exists() else 0

    def forward(self) -> None:
        """Send what is new."""
        lines = self.metrics.read_text().splitlines(keepends=True) if self.metrics.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        for line in whole[self.num_sent :]:
            record = json.loads(line)
            self.context.tracker.log_metrics(record["step"], record["values"])
        if len(whole) > self.num_sent:
            self.num_sent = len(whole)
            self.counter.write_text(str(self.num_sent))
        self._report()

    def _report(self) -> None:
        path = self.context.state / "progress.json"
        if not path.exists():
            return
        progress = json.loads(path.read_text())
        done, total = progress["step"], progress["num_steps"]
        left = (total - done) * progress["seconds_per_step"] / 60
        self.context.report_progress(done / total, f"step {done} of {total}, {left:.0f} min left")
