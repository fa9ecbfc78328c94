"""How much worse one model is than another: closed forms, pairs, and what is undefined."""

import math

import numpy as np
import pytest

from phrase_models.metrics.note_matching import PhraseCounts
from phrase_models.metrics.result import MetricResult
from phrase_models.metrics.worsening import (
    PlannedValues,
    chance_of_as_many,
    departure_worsening,
    distance_worsening,
    mean_worsening,
    score_worsening,
)

SONGS = np.linspace(0.1, 0.9, 30)


def planned(factor: float, real: np.ndarray = SONGS) -> PlannedValues:
    return PlannedValues(np.array([SONGS * factor]), np.array([real]))


def distance(value: float, spread: float = 0.0) -> MetricResult:
    noise = np.random.default_rng(0).normal(0.0, spread, 200)
    return MetricResult("d", value, math.nan, math.nan, 30, "", tuple(value + noise))


def test_a_shift_of_all_songs_is_seen_exactly_in_pairs_and_not_without_them():
    paired = mean_worsening("x", SONGS - 0.02, SONGS, paired=True)
    assert (paired.value, paired.low, paired.high) == pytest.approx((0.02, 0.02, 0.02))
    alone = mean_worsening("x", SONGS - 0.02, SONGS, paired=False)
    assert alone.value == pytest.approx(0.02)
    assert alone.low < -0.05 < 0.1 < alone.high


def test_better_turns_the_sign():
    assert mean_worsening("x", SONGS + 0.02, SONGS, paired=True).high == pytest.approx(-0.02)


def test_songs_that_one_model_has_no_value_of_leave_both_sides():
    gaps = SONGS.copy()
    gaps[::2] = math.nan
    result = mean_worsening("x", gaps, SONGS + 0.1, paired=True)
    assert (result.value, result.num_items) == (pytest.approx(0.1), 15)
    assert math.isnan(mean_worsening("x", gaps * math.nan, SONGS, paired=True).value)


def test_too_much_recurrence_is_as_far_from_real_songs_as_too_little():
    every = np.arange(30)
    assert planned(0.8).departure(every) == pytest.approx(0.2)
    assert planned(1.2).departure(every) == pytest.approx(0.2)
    result = departure_worsening("srs", planned(1.3), planned(0.9), paired=True)
    assert (result.value, result.low, result.high) == pytest.approx((0.2, 0.2, 0.2))


def test_levels_of_recurrence_are_averaged_and_one_without_real_songs_is_left_out():
    values = PlannedValues(
        np.array([SONGS * 0.5, SONGS, SONGS]), np.array([SONGS, SONGS, SONGS * math.nan])
    )
    assert values.departure(np.arange(30)) == pytest.approx((0.5 + 0.0) / 2)


def test_distances_are_taken_in_those_of_real_songs():
    result = distance_worsening("d", distance(6.0), distance(2.0), (3.0, 2.0), paired=True)
    assert (result.value, result.low, result.high) == pytest.approx((1.0, 1.0, 1.0))
    same = distance_worsening("d", distance(2.0, 0.3), distance(2.0, 0.3), (1.0, 1.0), paired=True)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    alone = distance_worsening(
        "d", distance(2.0, 0.3), distance(2.0, 0.3), (1.0, 1.0), paired=False
    )
    assert alone.low < -0.5 < 0.5 < alone.high


@pytest.mark.parametrize("floors", [(0.0, 1.0), (math.nan, 1.0)])
def test_without_a_distance_of_real_songs_there_is_no_worsening(floors):
    assert math.isnan(
        distance_worsening("d", distance(1.0), distance(1.0), floors, paired=True).low
    )


def test_scores_are_compared_on_the_songs_that_both_have():
    def counts(right: int) -> PhraseCounts:
        return PhraseCounts(num_target=100, num_output=100, matched_op=right, num_phrases=10)

    ours = {"a": counts(90), "b": counts(50), "new": counts(0)}
    theirs = {"a": counts(95), "b": counts(55), "gone": counts(0)}
    assert score_worsening("f1_op", ours, theirs).value == pytest.approx(0.05)
    assert math.isnan(score_worsening("f1_op", {"a": counts(1)}, {"b": counts(1)}).value)


def test_fishers_exact_test_by_hand():
    # 2 of 2 against 0 of 2: one of the C(4, 2) = 6 tables.
    assert chance_of_as_many(2, 2, 0, 2) == pytest.approx(1 / 6)
    assert chance_of_as_many(0, 200, 5, 200) == pytest.approx(1.0)
    assert chance_of_as_many(1, 0, 0, 0) == 1.0
