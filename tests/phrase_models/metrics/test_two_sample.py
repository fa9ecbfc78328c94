"""Classifiers find planted differences and nothing where there is none."""

import math
from dataclasses import replace

import numpy as np
import pytest

from phrase_models.logistic_regression import train_logistic_regression
from phrase_models.metrics.bar_rolls import bar_roll_features
from phrase_models.metrics.song_features import FEATURE_NAMES, FEATURE_WORDS, song_features
from phrase_models.metrics.two_sample import (
    _wins,
    bars_two_sample,
    songs_two_sample,
    train_two_layer_network,
    two_sample_test,
)
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track


def area_under_curve(generated: np.ndarray, real: np.ndarray) -> float:
    """Probability that a generated item scores higher than a real one; ties count half.

    Args:
        generated: scores `(N,)`.
        real: scores `(M,)`.

    Undefined (nan): no item on one side.
    """
    if not len(generated) or not len(real):
        return math.nan
    return float(_wins(generated, np.sort(real)).sum()) / (len(generated) * len(real))


SCALE = (60, 62, 64, 65, 67, 69, 71, 72)
NUM_BARS = 12


def make_song(seed):
    """In C major, with a density and a range of its own."""
    generator = np.random.default_rng(seed)
    density = generator.integers(3, 8)
    tracks = []
    for program in (MELODY, PIANO):
        notes = set()
        for bar in range(NUM_BARS):
            for sixteenth in generator.choice(16, size=density, replace=False):
                pitch = int(generator.choice(SCALE)) - (24 if program == PIANO else 0)
                notes.add(Note(48 * bar + 3 * int(sixteenth), pitch, 6))
        tracks.append(Track(program, tuple(sorted(notes))))
    return Song(f"{seed:03d}", NUM_BARS, tuple(tracks))


def transposed(song):
    return replace(
        song,
        tracks=tuple(
            Track(t.program, tuple(replace(n, pitch=n.pitch + 1) for n in t.notes))
            for t in song.tracks
        ),
    )


def with_one_note_more(song):
    """A second G at the end of each bar's melody."""
    melody = song.tracks[0]
    extra = [Note(48 * bar + 46, 67, 2) for bar in range(NUM_BARS)]
    return replace(
        song, tracks=(Track(MELODY, tuple(sorted([*melody.notes, *extra]))), *song.tracks[1:])
    )


FIRST = [make_song(seed) for seed in range(40)]
SECOND = [make_song(seed) for seed in range(100, 150)]


def features(songs):
    return np.array([song_features(song) for song in songs])


def bars(songs):
    return [bar_roll_features(song) for song in songs]


@pytest.fixture(scope="module")
def real():
    return features(SECOND), bars(SECOND)


def test_songs_of_one_origin_are_not_told_apart(real):
    result, telling = songs_two_sample(features(FIRST), real[0], FEATURE_WORDS)
    assert result.low < 0.5 < result.high
    assert result.value == pytest.approx(0.5, abs=0.1)
    assert result.num_items == 40
    assert result.note == "against 50 real songs, 10 splits"
    assert len(telling) == 5


def test_bars_of_one_origin_are_not_told_apart(real):
    result = bars_two_sample(bars(FIRST), real[1])
    assert result.low < 0.5 < result.high
    assert result.value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("change", [transposed, with_one_note_more])
def test_planted_differences_are_found(change, real):
    changed = [change(song) for song in FIRST]
    by_songs, _ = songs_two_sample(features(changed), real[0], FEATURE_WORDS)
    by_bars = bars_two_sample(bars(changed), real[1])
    for result in (by_songs, by_bars):
        assert result.value > 0.9
        assert 0.5 < result.low <= result.value <= result.high <= 1.0


def test_what_gives_songs_away_is_said_in_words(real):
    changed = features([transposed(song) for song in FIRST])
    _, telling = songs_two_sample(changed, real[0], FEATURE_WORDS, num_telling=12)
    words = [feature.in_words() for feature in telling]
    in_scale = next(word for word in words if word.startswith("share of notes in the scale"))
    assert "ours lower (weight -" in in_scale
    assert [abs(feature.weight) for feature in telling] == sorted(
        (abs(feature.weight) for feature in telling), reverse=True
    )
    assert any(word.startswith("share of notes on F sharp: ours higher") for word in words)


def test_every_feature_has_words_of_its_own():
    assert len(FEATURE_WORDS) == len(set(FEATURE_WORDS)) == len(FEATURE_NAMES)
    pairs = dict(zip(FEATURE_NAMES, FEATURE_WORDS, strict=True))
    assert pairs["note_density"] == "notes a bar"
    assert pairs["pitch_class_6"] == "share of notes on F sharp"
    assert pairs["melody_interval_4"] == "melody staying"
    assert pairs["duration_5"] == "share of notes of over a bar"
    assert pairs["distinct_bar_rate"] == "share of distinct bars"


def test_area_under_the_curve():
    assert area_under_curve(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert area_under_curve(np.array([0.0, 3.0]), np.array([1.0, 2.0])) == 0.5
    assert area_under_curve(np.array([1.0, 1.0, 2.0]), np.array([1.0, 0.0])) == 5 / 6
    assert math.isnan(area_under_curve(np.zeros(0), np.ones(2)))


def test_no_song_is_on_both_sides():
    """A trainer that knows every bar it has seen by heart finds none of them in the test."""
    generator = np.random.default_rng(0)
    first = [generator.normal(size=(5, 2)) for _ in range(12)]
    second = [generator.normal(size=(7, 2)) for _ in range(16)]
    tested, trained = [], []

    def by_heart(rows, labels, seed):
        seen = {tuple(row) for row in rows}
        trained.append((len(rows), int(labels.sum())))

        def score(items):
            tested.append(sum(tuple(item) in seen for item in items))
            return np.array([float(tuple(item) in seen) for item in items])

        return score

    result = two_sample_test("x", first, second, by_heart, num_splits=4).auc
    assert result.value == 0.5
    assert sum(tested) == 0
    assert len(tested) == 4 * (6 + 8)
    assert trained == [(6 * 5 + 8 * 7, 30)] * 4


def test_the_pooled_area_is_that_of_all_pairs_of_the_test_halves():
    generator = np.random.default_rng(1)
    first = [generator.normal(0.5, 1.0, size=(n, 1)) for n in (3, 4, 5, 6, 3, 4, 5, 6)]
    second = [generator.normal(0.0, 1.0, size=(n, 1)) for n in (2, 3, 4, 5, 6, 7, 2, 3)]
    tested = {}

    def as_it_is(rows, labels, seed):
        tested.clear()

        def score(items):
            tested[items.tobytes()] = items[:, 0]
            return items[:, 0]

        return score

    result = two_sample_test("x", first, second, as_it_is, num_splits=1).auc
    sides = [
        [x for song in side if (x := tested.get(song.tobytes())) is not None]
        for side in (first, second)
    ]
    assert [len(side) for side in sides] == [4, 4]
    expected = area_under_curve(np.concatenate(sides[0]), np.concatenate(sides[1]))
    assert result.value == pytest.approx(expected)


@pytest.mark.parametrize("trainer", [train_logistic_regression, train_two_layer_network])
def test_classifiers_do_not_depend_on_the_units_of_a_feature(trainer):
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(60, 5))
    labels = (rows[:, 0] + 0.5 * generator.normal(size=60) > 0).astype(float)
    scores = trainer(rows, labels, 0)(rows)
    units = np.array([1000.0, 1.0, 0.01, 1.0, 1.0])
    changed = trainer(rows * units + 3.0, labels, 0)(rows * units + 3.0)
    assert np.corrcoef(scores, changed)[0, 1] > 0.999
    assert area_under_curve(scores[labels > 0], scores[labels == 0]) > 0.9


def test_logistic_regression_is_at_its_minimum():
    generator = np.random.default_rng(3)
    rows = generator.normal(size=(50, 4))
    labels = (np.arange(50) < 15).astype(float)
    model = train_logistic_regression(rows, labels, l2_penalty=2.0)
    chance = 1.0 / (1.0 + np.exp(-model(rows)))
    item_weights = np.where(labels > 0, 50 / 30, 50 / 70)
    slope = item_weights * (chance - labels)
    standardised = model.standardiser(rows)
    np.testing.assert_allclose(standardised.T @ slope + 2.0 * model.weights, 0.0, atol=2e-3)
    assert slope.sum() == pytest.approx(0.0, abs=2e-3)


def test_the_network_learns_what_no_weighted_sum_can():
    generator = np.random.default_rng(4)
    rows = generator.normal(size=(600, 2))
    labels = (rows[:, 0] * rows[:, 1] > 0).astype(float)
    fresh = generator.normal(size=(400, 2))
    wanted = fresh[:, 0] * fresh[:, 1] > 0

    def auc(trainer):
        scores = trainer(rows, labels, 0)(fresh)
        return area_under_curve(scores[wanted], scores[~wanted])

    assert auc(train_two_layer_network) > 0.95
    assert auc(train_logistic_regression) < 0.65


def test_too_few_songs_and_songs_without_bars():
    rows = np.random.default_rng(5).normal(size=(20, 45))
    result, telling = songs_two_sample(rows[:7], rows, FEATURE_WORDS)
    assert math.isnan(result.value)
    assert result.note == "needs 8 songs on each side, has 7 generated and 20 real"
    assert telling == []
    silent = [bar_roll_features(Song("x", 4, ()))] * 10
    assert math.isnan(bars_two_sample(silent, bars(SECOND[:10])).value)


def test_two_calls_are_identical(real):
    once = songs_two_sample(features(FIRST), real[0], FEATURE_WORDS, seed=7)
    again = songs_two_sample(features(FIRST), real[0], FEATURE_WORDS, seed=7)
    assert once == again
    other, _ = songs_two_sample(features(FIRST), real[0], FEATURE_WORDS, seed=8)
    assert other.value != once[0].value
