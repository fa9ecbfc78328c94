import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from phrase_models.metrics.distribution import (
    _shortage,
    fit_gaussian,
    gaussian_distance,
    gaussian_distance_official,
    phrase_fid,
    phrase_fid_official,
)


def frechet_distance_official(generated: np.ndarray, reference: np.ndarray) -> float:
    """The released code's figure for two sets of vectors, (num_samples, D) each.

    Undefined (nan): fewer than two samples on either side.
    """
    if min(len(generated), len(reference)) < 2:
        return math.nan
    return gaussian_distance_official(fit_gaussian(generated), fit_gaussian(reference))


def frechet_distance(generated: np.ndarray, reference: np.ndarray) -> float:
    """Exact Fréchet distance of two sets of vectors, (num_samples, D) each.

    Undefined (nan): fewer than 2 D samples on either side.
    """
    if _shortage(len(generated), len(reference), generated.shape[1]):
        return math.nan
    return gaussian_distance(fit_gaussian(generated), fit_gaussian(reference))


def make_samples(seed, num_samples=500, dim=8, shift=0.0):
    generator = np.random.default_rng(seed)
    spread = np.diag(np.logspace(0, -1.5, dim)) @ np.linalg.qr(generator.normal(size=(dim, dim)))[0]
    return generator.normal(size=(num_samples, dim)) @ spread + shift


def split(samples, num_songs=10):
    return np.split(samples, num_songs)


def test_known_distance_of_two_points_on_a_line():
    # Means 1 and 4; variances 2 and 8 (unbiased): 9 + 2 + 8 - 2 * sqrt(16) = 11.
    a = np.array([[0.0], [2.0]])
    b = np.array([[2.0], [6.0]])
    assert frechet_distance(a, b) == pytest.approx(11.0, abs=1e-12)


def test_equals_the_matrix_root_of_scipy():
    a, b = make_samples(1), make_samples(2, shift=0.3)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    difference = a.mean(axis=0) - b.mean(axis=0)
    root = sqrtm(cov_a @ cov_b).real
    expected = difference @ difference + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_fit_equals_numpy():
    a = make_samples(3, shift=100.0)
    fitted = fit_gaussian(a)
    np.testing.assert_allclose(fitted.mean, a.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fitted.covariance, np.cov(a.T), rtol=1e-7, atol=1e-9)
    with pytest.raises(ValueError, match="two samples"):
        fit_gaussian(a[:1])


def test_exact_distance_is_symmetric_and_zero_on_itself():
    a, b = make_samples(4), make_samples(5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(a, b) > 0.0


def test_official_figure_is_not_symmetric_and_its_self_test_does_not_show_it():
    a, b = make_samples(6), make_samples(7)
    one, other = frechet_distance_official(a, b), frechet_distance_official(b, a)
    assert abs(one - other) > 1e-3
    assert abs(one - frechet_distance(a, b)) > 0.01
    assert frechet_distance_official(a, a) == pytest.approx(0.0, abs=1e-4)


def test_official_figure_reads_the_lower_triangle_of_reference_times_generated():
    a, b = make_samples(8), make_samples(9)
    product = np.cov(b.T) @ np.cov(a.T)
    lower = np.tril(product) + np.tril(product, -1).T
    values = np.clip(np.linalg.eigvalsh(lower), 1e-12, None)
    difference = a.mean(axis=0) - b.mean(axis=0)
    expected = difference @ difference + np.trace(np.cov(a.T) + np.cov(b.T))
    expected -= 2 * np.sqrt(values).sum()
    assert frechet_distance_official(a, b) == pytest.approx(expected, abs=1e-4)


def test_too_few_samples_are_refused():
    a = make_samples(10, num_samples=15)
    b = make_samples(11)
    assert math.isnan(frechet_distance(a, b))
    assert math.isnan(frechet_distance(b, a))
    assert math.isnan(frechet_distance_official(a[:1], b))
    result = phrase_fid([a], split(b))
    assert math.isnan(result.value)
    assert (
        result.note
        == "needs 16 vectors on each side for 8 dimensions, has 15 generated and 500 reference"
    )
    assert not math.isnan(phrase_fid_official([a], split(b)).value)
    assert math.isnan(phrase_fid([], []).value)


def test_song_by_song_equals_all_at_once_with_an_interval_around_it():
    a, b = make_samples(12, shift=0.2), make_samples(13)
    result = phrase_fid(split(a), split(b))
    assert result.value == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert result.low <= result.value <= result.high
    assert result.num_items == 10
    official = phrase_fid_official(split(a), split(b))
    assert official.value == pytest.approx(frechet_distance_official(a, b), abs=1e-4)


def test_noise_raises_the_distance_and_so_does_one_song_again_and_again():
    generator = np.random.default_rng(14)
    samples = make_samples(15, num_samples=3000)
    reference, held_out = samples[:2000], samples[2000:]
    floor = frechet_distance(held_out, reference)
    noisy = held_out + 0.3 * generator.normal(size=held_out.shape)
    noise = generator.normal(size=held_out.shape)
    repeated = np.tile(held_out[:20], (50, 1))
    assert floor < 0.05
    assert frechet_distance(noisy, reference) > 3 * floor
    assert frechet_distance(noise, reference) > frechet_distance(noisy, reference)
    assert frechet_distance(repeated, reference) > 3 * floor
