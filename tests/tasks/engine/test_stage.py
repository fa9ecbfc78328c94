"""Stages are found by what they are made of, and redone when that changes."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from storage.artifacts import ArtifactStore
from storage.errors import DamagedArtifact, DiskFull
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import Session, Stage, stage_key
from tasks.engine.tracker import NullTracker


class Number(BaseModel):
    model_config = ConfigDict(frozen=True)

    value: int


@contextmanager
def no_tracking(stage, key, state):
    yield NullTracker()


class Bench:
    """A store with a stage that writes its number and counts its runs."""

    def __init__(self, root: Path) -> None:
        self.root, self.runs = root, 0

    def session(self, *refresh: str) -> Session:
        return Session(
            store=ArtifactStore(self.root),
            runtime=RuntimeConfig(),
            tracker_factory=no_tracking,
            refresh=frozenset(refresh),
        )

    def body(self, context):
        self.runs += 1
        (context.output / "number.txt").write_text(str(context.config.value))
        return {"value": context.config.value}

    def stage(self, value: int = 1, **changes) -> Stage:
        fields = {"name": "numbers", "config": Number(value=value), "inputs": {}}
        fields |= {"body": self.body, "code": ("phrase_models.score.song",)}
        return Stage(**(fields | changes))


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path / "store")


def test_a_stage_is_made_once_and_then_found(bench):
    first = PlainRunner(bench.session()).run(bench.stage())
    again = PlainRunner(bench.session()).run(bench.stage())
    assert first == again
    assert bench.runs == 1
    assert (first.folder / "number.txt").read_text() == "1"


def test_configuration_inputs_code_and_version_are_the_key(bench):
    ref = PlainRunner(bench.session()).run(bench.stage())
    keys = {
        stage_key(bench.stage()),
        stage_key(bench.stage(2)),
        stage_key(bench.stage(inputs={"other": ref})),
        stage_key(bench.stage(external_inputs={"data": "abc"})),
        stage_key(bench.stage(code=("phrase_models.tokens.vocabulary",))),
        stage_key(bench.stage(version=2)),
    }
    assert len(keys) == 6


def test_refresh_does_it_again_once(bench):
    PlainRunner(bench.session()).run(bench.stage())
    session = bench.session("numbers")
    PlainRunner(session).run(bench.stage())
    PlainRunner(session).run(bench.stage())
    assert bench.runs == 2


def test_a_failure_leaves_no_artifact_and_keeps_the_state(bench):
    def fail(context):
        (context.state / "half").write_text("done")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        PlainRunner(bench.session()).run(bench.stage(body=fail))
    seen = {}

    def go_on(context):
        seen["half"] = (context.state / "half").read_text()
        return bench.body(context)

    PlainRunner(bench.session()).run(bench.stage(body=go_on))
    assert seen == {"half": "done"}


def test_a_flipped_byte_is_refused_and_refresh_mends_it(bench):
    ref = PlainRunner(bench.session()).run(bench.stage())
    path = ref.folder / "number.txt"
    path.write_text("7")
    with pytest.raises(DamagedArtifact, match="--refresh numbers"):
        PlainRunner(bench.session()).run(bench.stage())
    mended = PlainRunner(bench.session("numbers")).run(bench.stage())
    assert (mended.folder / "number.txt").read_text() == "1"


def test_a_full_disk_is_one_sentence_and_loses_nothing(bench):
    kept = PlainRunner(bench.session()).run(bench.stage())

    def full(context):
        raise OSError(28, "No space left on device", str(context.output))

    with pytest.raises(DiskFull) as caught:
        PlainRunner(bench.session()).run(bench.stage(2, body=full))
    assert "\n" not in str(caught.value)
    assert PlainRunner(bench.session()).run(bench.stage()) == kept


def test_results_are_reported_as_made_and_as_cached(bench):
    seen = []
    for _ in range(2):
        session = bench.session()
        session.on_result = lambda stage, result: seen.append((stage.name, result.cached))
        PlainRunner(session).run(bench.stage())
    assert seen == [("numbers", False), ("numbers", True)]
