"""Training processes: followed, stopped with their parent, and their failures told."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phrase_models.errors import UserError
from phrase_models.training.local_processes import LOST_CODE
from phrase_models.training.specification import HardwareConfig, TrainingSpecification
from storage.errors import DiskFull
from storage.writing import translate_disk_errors
from tasks.engine import subprocess_training
from tasks.engine.failures import ProcessEnded
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
    if step == spec["fails_at"] and start == 0:
        print("words before the end")
        print(spec["words"], file=sys.stderr, flush=True)
        os._exit(spec["code"]) if spec["code"] >= 0 else os.kill(os.getpid(), -spec["code"])
    time.sleep(spec["seconds"])
result = {"steps": spec["num_steps"], "threads": os.environ["OMP_NUM_THREADS"], "start": start}
result["hardware"] = spec["hardware"]
result["lock_is_open"] = all(os.fstat(fd) is not None for fd in spec["fds"])
(Path(arguments.output) / "result.json").write_text(json.dumps(result))
"""


class StubSpecification(TrainingSpecification):
    """What the stub is asked for; it fails once, at a step, with a code or a signal."""

    hardware: HardwareConfig = HardwareConfig(num_threads=3)
    num_steps: int
    seconds: float = 0.0
    fails_at: int | None = None
    code: int = 0
    words: str = ""
    fds: tuple[int, ...] = ()


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
    result = run_training(context, StubSpecification(num_steps=5, fds=(descriptor,)))
    os.close(descriptor)
    assert 0 < result.pop("training_seconds") < 60
    hardware = {"device": "cpu", "num_threads": 3, "num_processes": 1, "micro_batches": 1}
    assert result.pop("hardware") == hardware
    assert result == {"steps": 5, "threads": "3", "start": 0, "lock_is_open": True}
    assert context.tracker.points == points(1, 2, 3, 4, 5)
    assert context.seen_progress[-1] == (1.0, "step 5 of 5, 0 min left")
    assert (context.output / "log" / "training.txt").is_file()


def test_exit_code_2_is_the_users_and_its_last_line_the_sentence(stub, context):
    spec = StubSpecification(num_steps=3, fails_at=1, code=2, words="No phrases to train on.")
    with pytest.raises(UserError, match=r"^Stage train_stub: No phrases to train on\.$"):
        run_training(context, spec)


@pytest.mark.parametrize(
    ("code", "sentence", "failure"),
    [
        (1, "ended with code 1", TrainingFailedError),
        (-9, r"was ended by signal 9 \(SIGKILL\)", ProcessEnded),
        (LOST_CODE, f"ended with code {LOST_CODE}", ProcessEnded),
    ],
)
def test_other_failures_show_the_end_of_the_log(stub, context, code, sentence, failure):
    spec = StubSpecification(num_steps=3, fails_at=1, code=code, words="Traceback")
    with pytest.raises(failure, match=sentence) as caught:
        run_training(context, spec)
    assert str(caught.value).endswith("Traceback")


def test_a_full_disk_in_the_child_is_known_as_one(stub, context):
    words = "OSError: [Errno 28] No space left on device"
    spec = StubSpecification(num_steps=3, fails_at=1, code=1, words=words)
    with pytest.raises(DiskFull), translate_disk_errors(context.output):
        run_training(context, spec)


def test_a_killed_training_goes_on_and_its_lines_are_sent_from_the_start(stub, context):
    spec = StubSpecification(num_steps=6, fails_at=3, code=-9)
    with pytest.raises(ProcessEnded):
        run_training(context, spec)
    assert context.tracker.points == points(1, 2, 3)
    context.tracker = Recorder()
    result = run_training(context, spec)
    assert result["start"] == 2
    # All from the start, each once: a tracker leaves out what its run has.
    assert context.tracker.points == points(1, 2, 3, 4, 5, 6)


def wait_for_pid(state: Path) -> int:
    """The process of the stub, once it runs."""
    path, deadline = state / "pid", time.monotonic() + 60
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return int(path.read_text())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises, even where whoever started the tests had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_parent_stops_its_child(stub, context):
    def interrupt():
        wait_for_pid(context.state)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_training(context, StubSpecification(num_steps=100_000, seconds=0.05))
    thread.join()
    assert not is_running(wait_for_pid(context.state))


PARENT = """
import signal, sys
from pathlib import Path
from phrase_models.training.specification import HardwareConfig, TrainingSpecification
from tasks.engine import subprocess_training
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import StageContext
from tasks.engine.tracker import NullTracker

class Spec(TrainingSpecification):
    num_steps: int = 100_000
    seconds: float = 0.05
    fails_at: int | None = None

subprocess_training.TRAINER = "stub_trainer"
output, state = Path(sys.argv[1]), Path(sys.argv[2])
if sys.argv[3] == "background":  # as a shell starts what ends with & in a script
    signal.signal(signal.SIGINT, signal.SIG_IGN)
runtime = RuntimeConfig()
context = StageContext("train_stub", runtime, {}, output, state, runtime, NullTracker(), (), print)
try:
    subprocess_training.run_training(context, Spec(hardware=HardwareConfig()))
finally:
    (output / "unwound").touch()
"""


@pytest.mark.parametrize("started", ["foreground", "background"])
def test_sigterm_stops_the_child_and_unwinds_the_parent(stub, context, started):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(stub)])}
    command = [sys.executable, "-c", PARENT, context.output, context.state, started]
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    pid = wait_for_pid(context.state)
    if started == "background":
        parent.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(0.3)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(30) == 128 + signal.SIGTERM
    assert (context.output / "unwound").exists()
    assert not is_running(pid)
