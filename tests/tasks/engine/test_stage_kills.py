"""Stages killed without warning: the next run finds their state and waits for their children."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from storage.artifacts import ArtifactStore
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import Session, Stage, stage_key
from tasks.engine.tracker import NullTracker

ROOT = Path(__file__).resolve().parents[3]

# The body of the first run; a stage's key does not depend on the module its body is in.
COMMON = """
import os, signal, subprocess, sys
from contextlib import contextmanager
from pathlib import Path
from pydantic import BaseModel
from storage.artifacts import ArtifactStore
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import Session, Stage
from tasks.engine.tracker import NullTracker

class Number(BaseModel):
    value: int

@contextmanager
def no_tracking(stage, key, state):
    yield NullTracker()

def run(body, *refresh):
    stage = Stage("numbers", Number(value=1), {}, body, ("phrase_models.score.song",),
                  needs_device=True)
    store = ArtifactStore(Path(sys.argv[1]))
    session = Session(store, RuntimeConfig(), no_tracking, refresh=frozenset(refresh))
    PlainRunner(session).run(stage)
"""
KILLED = """
def body(context):
    (context.output / "half.txt").write_text("half")
    (context.state / "step").write_text("7")
    os.kill(os.getpid(), signal.SIGKILL)

run(body, *sys.argv[2:])
"""
ORPHANED = """
def body(context):
    script = "import sys, time, pathlib; time.sleep(1.5); pathlib.Path(sys.argv[1]).touch()"
    command = [sys.executable, "-c", script, str(context.state / "child_ended")]
    subprocess.Popen(command, pass_fds=context.lock_fds)
    os.kill(os.getpid(), signal.SIGKILL)

run(body)
"""


class Number(BaseModel):
    model_config = ConfigDict(frozen=True)

    value: int


@contextmanager
def no_tracking(stage, key, state):
    yield NullTracker()


def run_and_die(script: str, store: Path, *refresh: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", COMMON + script, store, *refresh]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def number_stage(body) -> Stage:
    return Stage(
        name="numbers",
        config=Number(value=1),
        inputs={},
        body=body,
        code=("phrase_models.score.song",),
        needs_device=True,
    )


@pytest.fixture
def go_on(tmp_path):
    """Run the stage again; what its body finds in its folders is kept in `go_on.found`."""

    def body(context):
        run.found = sorted(path.name for path in context.state.iterdir())
        run.left_over = [path.name for path in context.output.iterdir()]
        (context.output / "number.txt").write_text("1")
        return {}

    def run(*refresh):
        store = ArtifactStore(tmp_path)
        session = Session(store, RuntimeConfig(), no_tracking, refresh=frozenset(refresh))
        run.found = None
        return PlainRunner(session).run(number_stage(body))

    return run


def test_a_killed_stage_leaves_its_state_and_no_artifact(go_on, tmp_path):
    run_and_die(KILLED, tmp_path)
    assert ArtifactStore(tmp_path).find("numbers", stage_key(number_stage(print))) is None
    ref = go_on()
    assert (go_on.found, go_on.left_over) == (["step"], [])
    assert [path.name for path in sorted(ref.folder.iterdir())] == ["manifest.json", "number.txt"]
    assert not list((tmp_path / "work" / "numbers").iterdir())


def test_a_killed_refresh_goes_on_where_it_was(go_on, tmp_path):
    first = go_on()
    run_and_die(KILLED, tmp_path, "numbers")
    again = go_on("numbers")
    assert go_on.found == ["step"]
    assert again == first
    go_on()
    assert go_on.found is None  # cached


def test_a_child_that_outlives_its_parent_is_waited_for(go_on, tmp_path):
    run_and_die(ORPHANED, tmp_path)
    go_on()
    assert go_on.found == ["child_ended"]


@pytest.mark.parametrize(
    ("device", "visible", "processes", "indices"),
    [
        ("cpu", "3", 2, ("cpu",)),
        ("cuda", "", 1, ("0",)),
        ("cuda", "2,3", 1, ("2",)),
        ("cuda:1", "2,3", 1, ("3",)),
        ("cuda", "", 2, ("0", "1")),
        ("cuda", "2,3", 2, ("2", "3")),
    ],
)
def test_a_training_locks_a_card_for_each_process(monkeypatch, device, visible, processes, indices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    runtime = RuntimeConfig(device=device, num_processes=processes)
    assert runtime.device_indices == indices
