"""How normal latents are: their scale, their correlation and the weight of their tails.

A diffusion model starts from a standard normal, so latents that are near one leave it less to
learn: means near 0, every dimension in use, no two alike, tails no heavier than a normal's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ACTIVE_VARIANCE = 0.01
"""A dimension is active if its posterior mean varies more than this (Burda et al. 2016)."""


@dataclass(frozen=True, slots=True)
class LatentStatistics:
    """Statistics of a set of latents.

    Attributes:
        means: of each dimension, (D,).
        deviations: standard deviation of each dimension over the set, (D,).
        excess_kurtosis: of each dimension, (D,); 0 for a normal, above for heavier tails, -2 for
            two equally frequent values, nan for a dimension that never changes.
        mean_abs_correlation: mean over the pairs of different dimensions of the absolute
            correlation, 0..1; dimensions that never change are left out; nan without a pair.
        num_active: dimensions whose variance exceeds `ACTIVE_VARIANCE`.
    """

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    excess_kurtosis: NDArray[np.float64]
    mean_abs_correlation: float
    num_active: int

    def figures(self) -> dict[str, float]:
        """The statistics in a few numbers, by name; nan where there is nothing to measure."""
        varying = self.excess_kurtosis[~np.isnan(self.excess_kurtosis)]
        return {
            "latent_mean_abs": float(np.abs(self.means).mean()),
            "latent_std_mean": float(self.deviations.mean()),
            "latent_std_min": float(self.deviations.min()),
            "latent_std_max": float(self.deviations.max()),
            "latent_active_dims": self.num_active,
            "latent_correlation_mean_abs": self.mean_abs_correlation,
            "latent_excess_kurtosis_mean": float(varying.mean()) if len(varying) else np.nan,
            "latent_excess_kurtosis_max": float(varying.max()) if len(varying) else np.nan,
        }


def latent_statistics(latents: NDArray[np.floating]) -> LatentStatistics:
    """Measure latents.

    Args:
        latents: (N, D), N at least 1.

    Raises:
        ValueError: if there is no latent.
    """
    values = np.asarray(latents, np.float64)
    if values.ndim != 2 or not values.size:
        message = f"Latents must be (N, D) with at least one of each, not {values.shape}."
        raise ValueError(message)
    means = values.mean(axis=0)
    deviations = values.std(axis=0)
    scaled = standardised(values)
    # Of a constant dimension nothing is left but zeros.
    constant = ~scaled.any(axis=0)
    kurtosis = np.where(constant, np.nan, np.mean(scaled**4, axis=0) - 3.0)
    return LatentStatistics(
        means=means,
        deviations=deviations,
        excess_kurtosis=kurtosis,
        mean_abs_correlation=_mean_abs_correlation(scaled[:, ~constant]),
        num_active=int((deviations**2 > ACTIVE_VARIANCE).sum()),
    )


def standardised(latents: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each dimension of (N, D) at mean 0 and deviation 1; one that never changes is 0."""
    values = np.asarray(latents, np.float64)
    constant = np.ptp(values, axis=0) == 0.0  # rounding gives such a dimension a tiny deviation
    deviations = np.where(constant, 1.0, values.std(axis=0))
    return np.where(constant, 0.0, (values - values.mean(axis=0)) / deviations)


def _mean_abs_correlation(scaled: NDArray[np.float64]) -> float:
    """Of dimensions (N, D) at mean 0 and deviation 1."""
    num_latents, num_dims = scaled.shape
    if num_dims < 2:
        return float("nan")
    correlation = scaled.T @ scaled / num_latents
    return float(np.abs(correlation[np.triu_indices(num_dims, k=1)]).mean())


def principal_components(
    latents: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (N, 2) on the two main axes and their shares `[2]` of the variance.

    The largest coefficient of each axis is positive, which fixes the sign. Axes that do not exist
    (fewer than two dimensions or samples) score 0. Latents that are not finite count towards no
    axis and score nan.
    """
    finite = np.isfinite(latents).all(axis=1)
    points, shares = np.where(finite[:, None], np.zeros(2), np.nan), np.zeros(2)
    if finite.any():
        sound = np.asarray(latents, dtype=np.float64)[finite]
        centred = sound - sound.mean(axis=0)
        variances, axes = np.linalg.eigh(centred.T @ centred)
        total = variances.sum()
        for index in range(min(2, len(variances))):
            axis = axes[:, -1 - index]
            points[finite, index] = centred @ axis * np.sign(axis[np.abs(axis).argmax()])
            shares[index] = variances[-1 - index] / total if total > 0.0 else 0.0
    return points, shares
