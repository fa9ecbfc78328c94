"""The recipe of docs/extending.md for a metric: its function and its line, run as they stand."""

import math
import re
from pathlib import Path

import pytest

from phrase_models.metrics import evaluation
from phrase_models.metrics.evaluated_song import EvaluatedSong, build_training_reference
from phrase_models.metrics.evaluation import evaluate_songs, note_metric
from phrase_models.metrics.memorisation import build_training_melodies
from phrase_models.score.song import MELODY, Note, Song, Track

PAGE = Path(__file__).resolve().parents[3] / "docs" / "extending.md"


@pytest.fixture
def metric():
    section = PAGE.read_text().split("## A metric")[1].split("\n## ")[0]
    function, line = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names = {"note_metric": note_metric}
    exec(function + "\nentered = " + line, names)
    return names["entered"]


def song(*durations: int) -> EvaluatedSong:
    notes = tuple(Note(48 * bar, 60, duration) for bar, duration in enumerate(durations))
    tracks = (Track(MELODY, notes),) if notes else ()
    return EvaluatedSong(Song("song", max(1, len(durations)), tracks))


def test_the_metric_of_the_page_is_in_the_table_with_its_mean(metric):
    training = build_training_reference(build_training_melodies({}, {}))
    songs = [song(12, 24), song(48), song()]
    results = evaluate_songs(songs, songs[:2], training, metrics=(metric,))
    assert [result.name for result in results] == ["mean_duration"]
    assert results[0].value == (18 + 48) / 2
    assert results[0].num_items == 2
    assert math.isfinite(results[0].low)
    assert "mean_duration" not in {known.name for known in evaluation.METRICS}
