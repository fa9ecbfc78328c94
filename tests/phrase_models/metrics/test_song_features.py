import math

import numpy as np
import pytest

from phrase_models.metrics.song_features import (
    FEATURE_NAMES,
    distinct_bar_rate,
    empty_bar_rate,
    feature_frechet,
    groove_consistency,
    in_scale_rate,
    note_density,
    pitch_range,
    polyphony,
    song_features,
    tracks_per_bar,
)
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track

SONG = Song(
    "made",
    3,
    (
        Track(MELODY, (Note(0, 60, 12), Note(12, 61, 12), Note(48, 64, 24))),
        Track(PIANO, (Note(0, 48, 24), Note(0, 52, 6))),
    ),
)
EMPTY = Song("made", 0, ())
SILENT = Song("made", 4, ())


def test_single_features_are_exact_fractions():
    assert in_scale_rate(SONG) == 4 / 5
    assert note_density(SONG) == 5 / 3
    assert pitch_range(SONG) == 16.0
    assert tracks_per_bar(SONG) == 3 / 3
    assert empty_bar_rate(SONG) == pytest.approx(1 / 3)
    assert distinct_bar_rate(SONG) == 1.0


def test_polyphony_counts_notes_where_any_sounds():
    # Steps 0-5: three notes, 6-23: two, 48-71: one; 48 steps sound.
    assert polyphony(SONG) == pytest.approx((6 * 3 + 18 * 2 + 24) / 48)


def test_groove_consistency_counts_steps_that_differ():
    # Onsets at steps {0, 12}, {0}, {}: one step of 48 differs, then one.
    assert groove_consistency(SONG) == pytest.approx(1 - 2 / 96)
    assert groove_consistency(SILENT) == 1.0


def test_repeated_bars_are_counted_once():
    notes = tuple(Note(48 * bar, 60, 12) for bar in range(3))
    assert distinct_bar_rate(Song("made", 4, (Track(MELODY, notes),))) == 2 / 4


@pytest.mark.parametrize("metric", [in_scale_rate, polyphony, pitch_range])
def test_without_notes_undefined(metric):
    assert math.isnan(metric(SILENT))


@pytest.mark.parametrize(
    "metric",
    [note_density, groove_consistency, empty_bar_rate, tracks_per_bar, distinct_bar_rate],
)
def test_without_bars_undefined(metric):
    assert math.isnan(metric(EMPTY))


def test_features_have_names_and_histograms_sum_to_one():
    values = dict(zip(FEATURE_NAMES, song_features(SONG), strict=True))
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == 45
    for prefix in ("pitch_class_", "melody_interval_", "onset_eighth_", "duration_"):
        shares = [value for name, value in values.items() if name.startswith(prefix)]
        assert sum(shares) == pytest.approx(1.0)
    assert values["pitch_class_4"] == pytest.approx(2 / 5)
    # Melody 60 61 64: a rising step and a rising third.
    assert values["melody_interval_5"] == values["melody_interval_6"] == 0.5
    assert values["onset_eighth_0"] == pytest.approx(4 / 5)
    assert values["duration_1"] == pytest.approx(1 / 5)
    assert values["mean_pitch"] == pytest.approx(57.0)
    assert values["off_eighth_rate"] == 0.0


def test_features_of_empty_songs_are_finite():
    assert np.isfinite(song_features(EMPTY)).all()
    assert np.isfinite(song_features(SILENT)).all()


def make_features(seed, num_songs, shift=0.0):
    return np.random.default_rng(seed).normal(size=(num_songs, 45)) + shift


def test_feature_distance_needs_songs():
    result = feature_frechet(make_features(0, 15), make_features(1, 50))
    assert math.isnan(result.value)
    assert result.note == "needs 16 songs on each side, has 15 generated and 50 reference"


def test_feature_distance_rises_with_a_shift():
    reference = make_features(2, 400)
    same = feature_frechet(make_features(3, 100), reference)
    shifted = feature_frechet(make_features(3, 100, shift=1.0), reference)
    assert same.value < shifted.value
    assert shifted.low > same.high
    assert feature_frechet(reference, reference).value == pytest.approx(0.0, abs=1e-9)


def test_a_feature_that_never_varies_does_no_harm():
    reference = make_features(4, 60)
    reference[:, 3] = 0.0
    assert math.isfinite(feature_frechet(make_features(5, 60), reference).value)
