"""An edit of code that a stage uses has it done again; an edit of a comment does not."""

from contextlib import contextmanager

import pytest

from storage import code_digest
from storage.artifacts import ArtifactStore
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import Session, Stage
from tasks.engine.tracker import NullTracker

SOURCE = '''"""Adds."""


def add(number):
    """One more."""
    return number + 1  # the number
'''


@contextmanager
def no_tracking(stage, key, state):
    yield NullTracker()


@pytest.fixture
def runs_after(tmp_path, monkeypatch):
    """Write a module's source and run a stage that uses it; returns the runs of its body so far."""
    module = tmp_path / "edited_module" / "adding.py"
    module.parent.mkdir()
    (module.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    runs = []

    def body(context):
        runs.append(context.output)
        (context.output / "number.txt").write_text("1")
        return {}

    def run(source: str) -> int:
        module.write_text(source)
        code_digest._read_module.cache_clear()  # a process reads each module once
        session = Session(ArtifactStore(tmp_path / "store"), RuntimeConfig(), no_tracking)
        stage = Stage("adding", RuntimeConfig(), {}, body, code=("edited_module.adding",))
        PlainRunner(session).run(stage)
        return len(runs)

    return run


def test_only_code_counts(runs_after):
    assert runs_after(SOURCE) == 1
    assert runs_after(SOURCE.replace("# the number", "# a better comment")) == 1
    assert runs_after(SOURCE.replace("One more.", "The number after.")) == 1
    assert runs_after(SOURCE.replace("+ 1", "+ 2")) == 2
    assert runs_after(SOURCE) == 2  # the first artifact is still there
