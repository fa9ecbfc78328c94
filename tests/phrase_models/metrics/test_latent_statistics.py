import math

import numpy as np
import pytest

from phrase_models.metrics.latent_statistics import (
    latent_statistics,
    principal_components,
    standardised,
)

SIGNS = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=np.float64)
"""Two independent dimensions of two values each: deviation 1, correlation 0, kurtosis -2."""


def test_statistics_of_a_known_covariance():
    # x = s, y = 2 (0.6 s + 0.8 t) + 3: covariance [[1, 1.2], [1.2, 4]], correlation 0.6.
    s, t = SIGNS.T
    found = latent_statistics(np.stack([s, 2 * (0.6 * s + 0.8 * t) + 3], axis=1))
    assert found.means == pytest.approx([0, 3])
    assert found.deviations == pytest.approx([1, 2])
    assert found.mean_abs_correlation == pytest.approx(0.6)
    # The fourth moment of 0.6 s + 0.8 t: half of the values are 1.4, half 0.2, up to sign.
    assert found.excess_kurtosis == pytest.approx([-2, (1.4**4 + 0.2**4) / 2 - 3])
    assert found.num_active == 2


def test_correlation_is_meaned_over_pairs_without_sign():
    s, t = SIGNS.T
    found = latent_statistics(np.stack([s, -s, t], axis=1))
    assert found.mean_abs_correlation == pytest.approx(1 / 3)


def test_a_dimension_is_active_above_a_variance_of_a_hundredth():
    scales = np.array([0.0999, 0.1001, 0.0, 5.0])
    latents = np.array([[1.0], [-1.0]]) * scales + 7.1
    found = latent_statistics(latents.astype(np.float32))
    assert found.num_active == 2
    assert np.isnan(found.excess_kurtosis).tolist() == [False, False, True, False]
    assert found.figures()["latent_active_dims"] == 2
    assert found.figures()["latent_std_min"] == pytest.approx(0, abs=1e-6)
    assert found.figures()["latent_excess_kurtosis_mean"] == pytest.approx(-2)


def test_kurtosis_tells_a_normal_from_heavy_tails():
    rng = np.random.default_rng(0)
    normal = latent_statistics(rng.standard_normal((20000, 4)))
    heavy = latent_statistics(rng.laplace(size=(20000, 4)))
    assert np.abs(normal.excess_kurtosis).max() < 0.2
    assert heavy.excess_kurtosis.min() > 2


def test_one_constant_dimension_leaves_correlation_and_kurtosis_undefined():
    figures = latent_statistics(np.full((3, 1), 0.1)).figures()
    assert math.isnan(figures["latent_correlation_mean_abs"])
    assert math.isnan(figures["latent_excess_kurtosis_mean"])
    assert figures["latent_mean_abs"] == pytest.approx(0.1)


def test_no_latents_are_refused():
    with pytest.raises(ValueError, match=r"not \(0, 4\)"):
        latent_statistics(np.zeros((0, 4)))


def test_standardised_keeps_a_constant_at_zero():
    # 0.1 is no binary fraction, so the mean of many is not quite 0.1.
    values = np.stack([np.full(7, 0.1), np.arange(7.0)], axis=1)
    scaled = standardised(values)
    assert not scaled[:, 0].any()
    assert scaled[:, 1] == pytest.approx(np.arange(-3, 4) / 2)


def test_principal_components_find_the_main_axes():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(500, 2)) * (3.0, 1.0)
    scores -= scores.mean(axis=0)
    axes = np.linalg.qr(rng.normal(size=(8, 8)))[0][:2]
    points, shares = principal_components(scores @ axes + 5.0)
    correlation = np.corrcoef(points[:, 0], scores[:, 0])[0, 1]
    assert abs(correlation) > 0.99
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] == pytest.approx(0.9, abs=0.03)
    np.testing.assert_allclose(points.T @ points, np.diag(np.diag(points.T @ points)), atol=1e-9)


@pytest.mark.parametrize("shape", [(0, 4), (1, 3), (5, 1)])
def test_principal_components_of_little(shape):
    points, shares = principal_components(np.ones(shape))
    assert points.shape == (shape[0], 2)
    assert not points.any()
    assert not shares.any()


def test_latents_that_are_not_finite_change_no_axis():
    rows = np.random.default_rng(0).normal(size=(50, 4))
    spoilt = np.concatenate((rows[:20], np.full((1, 4), np.nan), rows[20:]))
    points, shares = principal_components(spoilt)
    expected, expected_shares = principal_components(rows)
    assert np.isnan(points[20]).all()
    np.testing.assert_array_equal(np.delete(points, 20, axis=0), expected)
    np.testing.assert_array_equal(shares, expected_shares)
    assert np.isnan(principal_components(np.full((3, 2), np.nan))[0]).all()
