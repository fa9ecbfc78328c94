"""Training processes: followed, stopped with their parent, and their failures told."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from phrase_models.errors import UserError
from storage.errors import DiskFull
from storage.writing import translate_disk_errors
from tasks.engine import subprocess_training
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import StageContext
from tasks.engine.subprocess_training import TrainingFailedError, run_training

ROOT = Path(__file__).resolve().parents[3]

STUB = """
import argparse, json, os, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("spec", "state", "output", "parent"):
    parser.add_argument(f"--{name}")
arguments = parser.parse_args()
spec, state = json.loads(Path(arguments.spec).read_text()), Path(arguments.state)
assert int(arguments.parent) == os.getppid()
(state / "pid").write_text(str(os.getpid()))
checkpoint = state / "checkpoint"
start = int(checkpoint.read_text()) if checkpoint.exists() else 0
metrics = state / "metrics.jsonl"
lines = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
metrics.write_text("".join(lines[:start]))
for step in range(start + 1, spec["num_steps"] + 1):
    with metrics.open("a") as file:
        file.write(json.dumps({"step": step, "values": {"loss": 1 / step}}) + "\\n")
    if step % 2 == 0:
        checkpoint.write_text(str(step))
    progress = {"step": step, "num_steps": spec["num_steps"], "seconds_per_step": 60.0}
    (state / "progress.tmp").write_text(json.dumps(progress))
    (state / "progress.tmp").replace(state / "progress.json")
    if step == spec.get("fails_at") and start == 0:
        print("words before the end")
        print(spec["words"], file=sys.stderr, flush=True)
        os._exit(spec["code"]) if spec["code"] >= 0 else os.kill(os.getpid(), -spec["code"])
    time.sleep(spec.get("seconds", 0))
result = {"steps": spec["num_steps"], "threads": os.environ["OMP_NUM_THREADS"], "start": start}
result["lock_is_open"] = all(os.fstat(fd) is not None for fd in spec["fds"])
(Path(arguments.output) / "result.json").write_text(json.dumps(result))
"""


class Recorder:
    run_id = None

    def __init__(self):
        self.points = []

    def log_metrics(self, step, values):
        self.points.append((step, dict(values)))


@pytest.fixture
def stub(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "stub"
    folder.mkdir()
    (folder / "stub_trainer.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(subprocess_training, "TRAINER", "stub_trainer")
    monkeypatch.setattr(subprocess_training, "POLL_SECONDS", 0.05)
    return folder


@pytest.fixture
def context(tmp_path) -> StageContext:
    for name in ("output", "state"):
        (tmp_path / name).mkdir()
    progress: list[tuple[float, str]] = []
    made = StageContext(
        stage="train_stub",
        config=RuntimeConfig(),
        inputs={},
        output=tmp_path / "output",
        state=tmp_path / "state",
        runtime=RuntimeConfig(num_threads=3),
        tracker=Recorder(),
        lock_fds=(),
        report_progress=lambda share, words: progress.append((share, words)),
    )
    made.seen_progress = progress  # type: ignore[attr-defined]
    return made


def points(*steps: int) -> list[tuple[int, dict[str, float]]]:
    return [(step, {"loss": 1 / step}) for step in steps]


def test_a_training_is_followed_to_its_result(stub, context, tmp_path):
    descriptor = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    context.lock_fds = (descriptor,)
    result = run_training(context, {"num_steps": 5, "fds": [descriptor]})
    os.close(descriptor)
    assert 0 < result.pop("training_seconds") < 60
    assert result == {"steps": 5, "threads": "3", "start": 0, "lock_is_open": True}
    assert context.tracker.points == points(1, 2, 3, 4, 5)
    assert context.seen_progress[-1] == (1.0, "step 5 of 5, 0 min left")
    spec = json.loads((context.state / "spec.json").read_text())
    assert (spec["device"], spec["num_threads"]) == ("cpu", 3)
    assert (context.output / "log" / "training.txt").is_file()


def test_exit_code_2_is_the_users_and_its_last_line_the_sentence(stub, context):
    spec = {"num_steps": 3, "fails_at": 1, "code": 2, "words": "No phrases to train on.", "fds": []}
    with pytest.raises(UserError, match=r"^Stage train_stub: No phrases to train on\.$"):
        run_training(context, spec)


@pytest.mark.parametrize(
    ("code", "sentence"), [(1, "ended with code 1"), (-9, r"was ended by signal 9 \(SIGKILL\)")]
)
def test_other_failures_show_the_end_of_the_log(stub, context, code, sentence):
    spec = {"num_steps": 3, "fails_at": 1, "code": code, "words": "Traceback", "fds": []}
    with pytest.raises(TrainingFailedError, match=sentence) as caught:
        run_training(context, spec)
    assert str(caught.value).endswith("Traceback")


def test_a_full_disk_in_the_child_is_known_as_one(stub, context):
    words = "OSError: [Errno 28] No space left on device"
    spec = {"num_steps": 3, "fails_at": 1, "code": 1, "words": words, "fds": []}
    with pytest.raises(DiskFull), translate_disk_errors(context.output):
        run_training(context, spec)


def test_a_killed_training_goes_on_and_its_lines_are_sent_from_the_start(stub, context):
    spec = {"num_steps": 6, "fails_at": 3, "code": -9, "words": "", "fds": []}
    with pytest.raises(TrainingFailedError):
        run_training(context, spec)
    assert context.tracker.points == points(1, 2, 3)
    context.tracker = Recorder()
    result = run_training(context, spec)
    assert result["start"] == 2
    # All from the start, each once: a tracker leaves out what its run has.
    assert context.tracker.points == points(1, 2, 3, 4, 5, 6)


def test_an_interrupted_parent_stops_its_child(stub, context):
    spec = {"num_steps": 1000, "seconds": 0.05, "fds": []}
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_training(context, spec)
    with pytest.raises(ProcessLookupError):
        os.kill(int((context.state / "pid").read_text()), 0)


PARENT = """
import sys
from pathlib import Path
from tasks.engine import subprocess_training
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import StageContext
from tasks.engine.tracking import NullTracker

subprocess_training.TRAINER = "stub_trainer"
output, state = Path(sys.argv[1]), Path(sys.argv[2])
runtime = RuntimeConfig()
context = StageContext("train_stub", runtime, {}, output, state, runtime, NullTracker(), (), print)
try:
    subprocess_training.run_training(context, {"num_steps": 1000, "seconds": 0.05, "fds": []})
finally:
    (output / "unwound").touch()
"""


def test_sigterm_stops_the_child_and_unwinds_the_parent(stub, context):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(stub)])}
    command = [sys.executable, "-c", textwrap.dedent(PARENT), context.output, context.state]
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    pid = context.state / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(30) == 128 + signal.SIGTERM
    assert (context.output / "unwound").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
