import math

import numpy as np
import pytest

from phrase_models.metrics.result import (
    bootstrap_interval,
    mean_result,
    proportion_result,
    undefined,
)


def test_mean_leaves_out_undefined_songs_and_says_so():
    result = mean_result("x", [1.0, math.nan, 2.0, 6.0])
    assert result.value == 3.0
    assert result.num_items == 3
    assert result.note == "undefined for 1 of 4 songs"
    assert 1.0 <= result.low < 3.0 < result.high <= 6.0


def test_mean_of_nothing_is_undefined():
    assert math.isnan(mean_result("x", []).value)
    assert math.isnan(mean_result("x", [math.nan]).value)
    assert undefined("x", "why").note == "why"


def test_mean_interval_agrees_with_the_normal_one():
    values = np.random.default_rng(1).normal(5.0, 2.0, size=400)
    result = mean_result("x", list(values), seed=3)
    error = 1.96 * values.std() / math.sqrt(400)
    assert result.low == pytest.approx(values.mean() - error, abs=0.06)
    assert result.high == pytest.approx(values.mean() + error, abs=0.06)


def test_bootstrap_is_a_function_of_the_seed():
    values = np.random.default_rng(0).normal(size=10)

    def mean(draw):
        return float(values[draw].mean())

    assert bootstrap_interval(10, mean, seed=1) == bootstrap_interval(10, mean, seed=1)
    assert bootstrap_interval(10, mean, seed=1) != bootstrap_interval(10, mean, seed=2)


def test_bootstrap_of_one_song_and_of_undefined_resamples_has_no_interval():
    assert all(math.isnan(end) for end in bootstrap_interval(1, lambda draw: 1.0))
    assert all(math.isnan(end) for end in bootstrap_interval(5, lambda draw: math.nan))


def test_bootstrap_can_be_centred():
    values = np.arange(11.0)
    low, high = bootstrap_interval(11, lambda draw: float(values[draw].mean()), centre=100.0)
    assert low < 100.0 < high


@pytest.mark.parametrize(
    ("successes", "num_items", "low", "high"),
    [(0, 20, 0.0, 0.16843), (19, 20, 0.75127, 0.99873), (20, 20, 0.83157, 1.0)],
)
def test_proportion_has_the_clopper_pearson_interval(successes, num_items, low, high):
    flags = [index < successes for index in range(num_items)]
    result = proportion_result("mr", flags)
    assert result.value == successes / num_items
    assert (result.low, result.high) == pytest.approx((low, high), abs=1e-5)


def test_proportion_of_no_songs_is_undefined():
    assert math.isnan(proportion_result("mr", []).value)
