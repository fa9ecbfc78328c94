"""Every function that a stage calls, in its own process or its training's, is in its closure."""

import functools
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.road import run_until
from storage.artifacts import ArtifactRef
from tasks.engine import subprocess_training
from tasks.engine.code_closure import LEAVES, closure, stage_modules
from tasks.engine.stage import Stage, StageRunner
from tasks.launch import Request, launch
from tasks.stages.registry import STAGES

pytestmark = pytest.mark.slow
STARTING_A_TRAINING = {
    "phrase_models.train",
    "phrase_models.trainings",
    "phrase_models.training.watchdog",
}
"""They read what is asked for, hand it to the trainer of its kind, and end with their parent."""
ROOT = Path(__file__).resolve().parents[2]
FEW_STEPS = {
    f"{name}.{key}": value
    for name in (
        *("infilling.training", "autoencoder.training", "bottleneck.training", "decoder.training"),
        "diffusion",
    )
    for key, value in (("num_steps", "4"), ("validate_every", "2"), ("checkpoint_every", "2"))
}
TRACED_TRAINER = """
import atexit, json, sys, threading
from pathlib import Path

called = set()

def note(frame, event, _):
    if event == "call" and not frame.f_code.co_name.startswith("<module"):
        called.add(frame.f_code.co_filename)

from phrase_models import train, trainings

def save():
    sys.setprofile(None)
    state = Path(sys.argv[sys.argv.index("--state") + 1])
    (state.parents[4] / "called.json").write_text(json.dumps(sorted(called)))

atexit.register(save)
threading.setprofile(note)
sys.setprofile(note)
sys.exit(train.main())
"""


class TracingRunner:
    """Runs stages with another runner, and notes whose functions each body calls."""

    def __init__(self, runner: StageRunner, store: Path) -> None:
        self.runner, self.store = runner, store
        self.called: dict[str, set[str]] = {}
        self.stages: dict[str, Stage] = {}

    def run(self, stage: Stage) -> ArtifactRef:
        files: set[str] = set()
        ref = self.runner.run(replace(stage, body=traced(stage.body, files)))
        child = self.store.parent / "called.json"
        if child.exists():
            files |= set(json.loads(child.read_text()))
            child.unlink()
        self.called[stage.name], self.stages[stage.name] = module_names(files), stage
        return ref


def traced(body: Callable[..., Any], files: set[str]) -> Callable[..., Any]:
    """The body, from the same module by its name, noting the files of all functions called."""
    if isinstance(body, functools.partial):
        return functools.partial(traced(body.func, files), *body.args, **body.keywords)

    def note(frame, event, _):
        if event == "call" and not frame.f_code.co_name.startswith("<module"):
            files.add(frame.f_code.co_filename)

    @functools.wraps(body)
    def noting(*args: Any, **keywords: Any) -> Any:
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            return body(*args, **keywords)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    return noting


def module_names(files: set[str]) -> set[str]:
    """Dotted names of the files that are this program's."""
    paths = [Path(file) for file in files if file.startswith(f"{ROOT}/")]
    own = [path.relative_to(ROOT).with_suffix("").parts for path in paths]
    return {".".join(parts) for parts in own if parts[0] in {"tasks", "phrase_models", "storage"}}


def test_what_a_body_calls_is_in_its_closure_or_a_leaf(tmp_path, monkeypatch):
    (tmp_path / "traced_trainer.py").write_text(TRACED_TRAINER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PHRASELDM_TRACKING", "off")
    monkeypatch.setattr(subprocess_training, "TRAINER", "traced_trainer")
    store = tmp_path / "store"
    request = Request(store=str(store), overrides=FEW_STEPS, num_workers=1)
    launched = launch(request, orchestrated=False)
    with launched.running() as runner:
        tracing = TracingRunner(runner, store)
        run_until(tracing, launched)
    leaves = tuple(f"{leaf}." for names in LEAVES.values() for leaf in names)
    assert set(tracing.called) == {kind.name for kind in STAGES if not kind.side}
    assert "phrase_models.training.loop" in tracing.called["train_diffusion"]
    for name, called in tracing.called.items():
        stage = tracing.stages[name]
        inside = closure(stage_modules(stage.body, stage.code)).keys()
        reached = called - inside - STARTING_A_TRAINING
        outside = {item for item in reached if not f"{item}.".startswith(leaves)}
        assert outside == set(), name
        assert called & inside, name
