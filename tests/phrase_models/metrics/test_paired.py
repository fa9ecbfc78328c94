"""Differences of two models on the same songs."""

import math

import numpy as np
import pytest

from phrase_models.metrics.matched_notes import PhraseCounts
from phrase_models.metrics.paired import paired_difference, pool_seeds
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
