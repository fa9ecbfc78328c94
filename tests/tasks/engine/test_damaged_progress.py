"""Files that only tell of a training: damaged ones are passed over, warnings reach the user."""

import json
import logging
from types import SimpleNamespace

import pytest

from tasks.engine.learning_curves import save_curves
from tasks.engine.metrics_lines import read_metrics
from tasks.engine.subprocess_training import MetricsFollower, TrainingClock, WarningsFollower
from tasks.engine.tracker import NullTracker

LINES = [
    {"step": 5, "values": {"train/loss": 2.0}},
    {"step": 6, "values": {"validation/score": 1.5, "validation/f1": 0.5}},
]
TEXT = "".join(f"{json.dumps(line)}\n" for line in LINES)
DAMAGED = [
    b"",
    b"\xff\xfe\x00",
    b"{",
    b"[1, 2]\n",
    b'"word"',
    b'{"step": "many", "num_steps": null}\n',
    b'{"step": 1, "values": {"loss": "low"}}\n',
    b"[" * 100_000,
]


@pytest.fixture
def context(tmp_path):
    for name in ("state", "output"):
        (tmp_path / name).mkdir()
    seen = []
    return SimpleNamespace(
        state=tmp_path / "state",
        output=tmp_path / "output",
        tracker=NullTracker(),
        report_progress=lambda *words: seen.append(words),
        seen=seen,
    )


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_lines_leave_the_sound_ones(context, content):
    path = context.state / "metrics.jsonl"
    path.write_bytes(TEXT.encode() + content)
    assert read_metrics(path) == LINES
    path.write_bytes(content)
    assert read_metrics(path) == []


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_files_end_neither_progress_nor_clock_nor_curves(context, content):
    for name in ("metrics.jsonl", "progress.json", "seconds.json"):
        (context.state / name).write_bytes(content)
    MetricsFollower(context).forward()
    assert context.seen == []
    assert TrainingClock(context.state / "seconds.json").before == 0.0
    assert save_curves(context) == {}


def test_the_curves_of_what_is_left_give_the_figures_of_the_best_step(context):
    (context.state / "metrics.jsonl").write_bytes(b"nonsense\n" + TEXT.encode())
    assert save_curves(context) == {"score": 1.5, "f1": 0.5}
    assert (context.output / "log" / "metrics.jsonl").read_text() == TEXT


def test_what_a_training_warns_of_is_said_once_and_what_an_earlier_one_said_is_not(
    tmp_path, caplog
):
    log = tmp_path / "log.txt"
    log.write_text("2026-01-01 WARNING of an earlier process\n")
    warnings = WarningsFollower(log)
    with log.open("a") as file:
        file.write("2026-01-01 INFO step 5\n2026-01-01 WARNING the checkpoint is damaged\n2026 WAR")
    warnings.forward()
    warnings.forward()
    with log.open("a") as file:
        file.write("NING whole only now\n")
    warnings.forward()
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert said == ["the checkpoint is damaged", "whole only now"]
