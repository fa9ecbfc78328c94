"""Differences of two models on the same songs."""

import math

import numpy as np
import pytest

from phrase_models.metrics.note_matching import PhraseCounts
from phrase_models.metrics.paired import paired_difference, paired_ratio, pool_seeds
from phrase_models.metrics.reconstruction import score_songs


def counts(right: int, notes: int = 100) -> PhraseCounts:
    return PhraseCounts(num_target=notes, num_output=notes, matched_op=right, num_phrases=10)


def songs(shift: int = 0, *, shuffled: bool = False) -> dict[str, PhraseCounts]:
    """Songs from hardly to wholly reconstructed; a better model has a few more notes in each."""
    right = np.linspace(20, 90, 15).astype(int)
    if shuffled:
        right = np.random.default_rng(0).permutation(right)
    return {f"{index:03d}": counts(int(value) + shift) for index, value in enumerate(right)}


def test_the_interval_is_that_of_the_difference_not_of_the_songs():
    result = paired_difference("f1_op", songs(), songs(2))
    assert result.value == pytest.approx(0.02)
    assert (result.low, result.high) == pytest.approx((0.02, 0.02))
    alone = next(score for score in score_songs(list(songs().values())) if score.name == "f1_op")
    assert alone.high - alone.low > 0.1


def test_models_that_differ_by_chance_are_not_told_apart():
    result = paired_difference("f1_op", songs(), songs(shuffled=True))
    assert result.low < 0 < result.high


def test_the_order_of_songs_does_not_matter_and_swapping_turns_the_sign():
    forward = paired_difference("f1_op", songs(), songs(shuffled=True))
    backward = paired_difference(
        "f1_op", dict(reversed(songs(shuffled=True).items())), dict(reversed(songs().items()))
    )
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low))


def test_other_songs_and_undefined_scores_are_not_compared():
    assert math.isnan(paired_difference("f1_op", songs(), {"000": counts(5)}).value)
    assert math.isnan(paired_difference("f1_op", {}, {}).value)
    empty = {"000": PhraseCounts()}
    assert math.isnan(paired_difference("f1_op", empty, empty).value)


def test_seeds_are_added_up_song_by_song():
    first, second = {"a": counts(10), "b": counts(20)}, {"b": counts(40), "a": counts(30)}
    assert pool_seeds([first, second]) == {
        song: PhraseCounts(num_target=200, num_output=200, matched_op=right, num_phrases=20)
        for song, right in (("a", 40), ("b", 60))
    }
    assert pool_seeds([first, {"b": counts(1)}]).keys() == {"b"}
    assert pool_seeds([]) == {}


def test_the_ratio_is_that_of_means_over_whole_pairs():
    ours = np.array([0.2, 0.4, math.nan, 0.6, 0.1])
    real = np.array([0.4, 0.0, 0.5, 0.8, math.nan])
    result = paired_ratio("srs", ours, real)
    assert result.value == pytest.approx((0.2 + 0.4 + 0.6) / (0.4 + 0.0 + 0.8))
    assert result.num_items == 3
    assert result.note == "undefined for 2 of 5 pairs"


def test_the_interval_of_the_ratio_is_that_of_pairs():
    real = np.random.default_rng(0).uniform(0.1, 2.0, size=40)
    paired = paired_ratio("srs", 0.8 * real, real)
    assert (paired.low, paired.value, paired.high) == pytest.approx((0.8, 0.8, 0.8))
    shuffled = paired_ratio("srs", 0.8 * np.random.default_rng(1).permutation(real), real)
    assert shuffled.value == pytest.approx(0.8)
    assert shuffled.high - shuffled.low > 0.2
    assert shuffled.low < 0.8 < shuffled.high


def test_the_interval_of_the_ratio_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(2)
    hits = 0
    for seed in range(100):
        real = generator.gamma(2.0, 0.3, size=60)
        ours = 0.9 * real + generator.normal(0.0, 0.2, size=60)
        result = paired_ratio("srs", ours, real, seed=seed)
        hits += result.low <= 0.9 <= result.high
    assert 88 <= hits <= 100


def test_a_ratio_without_pairs_or_over_nothing_is_undefined():
    nothing = paired_ratio("srs", np.array([math.nan, 1.0]), np.array([1.0, math.nan]))
    assert math.isnan(nothing.value)
    assert nothing.note == "no pairs; undefined for 2 of 2 pairs"
    zero = paired_ratio("srs", np.array([1.0, 2.0]), np.zeros(2))
    assert math.isnan(zero.value)
    assert zero.note == "the real songs have mean 0"
    one = paired_ratio("srs", np.array([1.0]), np.array([2.0]))
    assert (one.value, one.num_items) == (0.5, 1)
    assert math.isnan(one.low)
    with pytest.raises(ValueError, match="one value on each side"):
        paired_ratio("srs", np.zeros(3), np.zeros(2))
