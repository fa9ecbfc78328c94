"""Fréchet distance between Gaussians fitted to two sets of vectors, exact and as released.

    d(A, B) = |mean_A - mean_B|^2 + trace(cov_A + cov_B - 2 sqrt(cov_A cov_B))

The exact form takes the trace of the root from the symmetric matrix sqrt(A) B sqrt(A), which has
the eigenvalues of A B. The released code hands the product A B itself, which is not symmetric, to
a solver for symmetric matrices; that solver reads only the lower triangle. Its figures can be
negative and change when the sets are swapped; they are kept for comparison alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from phrase_models.metrics.result import (
    MetricResult,
    bootstrap_values,
    percentile_interval,
    undefined,
)

MIN_SAMPLES_PER_DIMENSION = 2
"""Fewer samples make the covariance singular or nearly so, and the distance mostly noise."""
_OFFICIAL_FLOOR = 1e-12
_NUM_RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Mean `[D]` and unbiased covariance (D, D) of num_samples vectors, float64."""

    num_samples: int
    mean: np.ndarray
    covariance: np.ndarray


def fit_gaussian(samples: np.ndarray) -> Gaussian:
    """Fit mean and unbiased covariance in float64.

    Args:
        samples: (num_samples, D), at least two.

    Raises:
        ValueError: for fewer than two samples.
    """
    if len(samples) < 2:
        message = f"A covariance needs at least two samples, there are {len(samples)}."
        raise ValueError(message)
    values = np.asarray(samples, dtype=np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    return Gaussian(len(values), mean, centred.T @ centred / (len(values) - 1))


@dataclass(frozen=True, slots=True)
class _Moments:
    """Count `[S]`, sum (S, D) and sum of outer products (S, D, D) of each song's vectors.

    They add up over songs, so a resample costs one weighted sum instead of a pass over phrases.
    `shift` is taken off all vectors first, to keep the sums of squares small.
    """

    counts: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    shift: np.ndarray

    @classmethod
    def of_songs(cls, songs: Sequence[np.ndarray], shift: np.ndarray) -> "_Moments":
        dim = len(shift)
        counts = np.array([len(song) for song in songs], dtype=np.float64)
        sums = np.zeros((len(songs), dim))
        products = np.zeros((len(songs), dim, dim))
        for index, song in enumerate(songs):
            centred = np.asarray(song, dtype=np.float64) - shift
            sums[index] = centred.sum(axis=0)
            products[index] = centred.T @ centred
        return cls(counts, sums, products, shift)

    def gaussian(self, weights: np.ndarray) -> Gaussian:
        count = float(weights @ self.counts)
        mean = (weights @ self.sums) / count
        products = np.tensordot(weights, self.products, axes=1)
        covariance = (products - count * np.outer(mean, mean)) / (count - 1.0)
        return Gaussian(int(count), mean + self.shift, covariance)


def _symmetric_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T


def gaussian_distance(a: Gaussian, b: Gaussian) -> float:
    """Exact Fréchet distance of two Gaussians: symmetric, never negative, 0 for equal ones."""
    root = _symmetric_root(a.covariance)
    values = np.linalg.eigvalsh(root @ b.covariance @ root)
    root_trace = np.sqrt(np.clip(values, 0.0, None)).sum()
    difference = a.mean - b.mean
    distance = difference @ difference + np.trace(a.covariance + b.covariance) - 2.0 * root_trace
    return max(0.0, float(distance))


def gaussian_distance_official(generated: Gaussian, reference: Gaussian) -> float:
    """The released code's figure: float32, lower triangle of reference times generated."""
    product = reference.covariance.astype(np.float32) @ generated.covariance.astype(np.float32)
    values, vectors = np.linalg.eigh(product, UPLO="L")
    roots = np.sqrt(np.clip(values, _OFFICIAL_FLOOR, None))
    root = (vectors * roots) @ vectors.T
    difference = generated.mean - reference.mean
    spread = np.trace(reference.covariance + generated.covariance)
    return float(difference @ difference + spread - 2.0 * np.trace(root))


def _shortage(num_generated: int, num_reference: int, dim: int) -> str:
    needed = MIN_SAMPLES_PER_DIMENSION * dim
    if min(num_generated, num_reference) >= needed:
        return ""
    return (
        f"needs {needed} vectors on each side for {dim} dimensions, "
        f"has {num_generated} generated and {num_reference} reference"
    )


def song_distance(
    name: str,
    generated: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    *,
    seed: int = 0,
    official: bool = False,
) -> MetricResult:
    """Fréchet distance of vectors given song by song, with an interval over generated songs.

    The reference is taken as fixed. The interval is centred on the value (see
    `bootstrap_interval`) and, for the exact distance, cut at 0.

    Args:
        name: of the metric.
        generated: (num_vectors, D) for each generated song.
        reference: (num_vectors, D) for each reference song.
        seed: seed of the resampling.
        official: the released code's figure instead of the exact distance.
    """
    num_generated = sum(len(song) for song in generated)
    num_reference = sum(len(song) for song in reference)
    if min(num_generated, num_reference) < 2:
        note = f"has {num_generated} generated and {num_reference} reference vectors"
        return undefined(name, note, num_items=len(generated))
    shortage = _shortage(num_generated, num_reference, generated[0].shape[1])
    if shortage and not official:
        return undefined(name, shortage, num_items=len(generated))
    target = fit_gaussian(np.concatenate(reference))
    moments = _Moments.of_songs(generated, target.mean)
    distance: Callable[[Gaussian, Gaussian], float] = (
        gaussian_distance_official if official else gaussian_distance
    )

    def resampled(draw: np.ndarray) -> float:
        weights = np.bincount(draw, minlength=len(generated)).astype(np.float64)
        if weights @ moments.counts < 2:
            return math.nan
        return distance(moments.gaussian(weights), target)

    value = distance(fit_gaussian(np.concatenate(generated)), target)
    resamples = bootstrap_values(len(generated), resampled, seed=seed, num_resamples=_NUM_RESAMPLES)
    low, high = percentile_interval(resamples, centre=value)
    if not official and not math.isnan(low):
        low = max(0.0, low)
    note = f"{num_generated} against {num_reference} vectors"
    return MetricResult(name, value, low, high, len(generated), note, tuple(resamples.tolist()))


def phrase_fid(
    generated: Sequence[np.ndarray], reference: Sequence[np.ndarray], *, seed: int = 0
) -> MetricResult:
    """PhraseFID, exact, over the latents of phrases that hold music (paper section 4.3.2).

    It depends on the autoencoder that made the latents: compare it with the same figure of real
    songs against real songs, not across autoencoders.

    Args:
        generated: (num_phrases, D) for each generated song, music only.
        reference: (num_phrases, D) for each reference song, music only.
        seed: seed of the resampling.

    Undefined (nan): fewer than 2 D phrases on either side.
    """
    return song_distance("phrase_fid", generated, reference, seed=seed)


def phrase_fid_official(
    generated: Sequence[np.ndarray], reference: Sequence[np.ndarray], *, seed: int = 0
) -> MetricResult:
    """PhraseFID as released: every slot enters, empty ones and bar ends too; faulty root.

    Args:
        generated: (num_slots, D) for each generated song, all slots of its bars; for the released
            figure with the ends of bars (`structure.with_bar_end`).
        reference: (num_slots, D) for each reference song, likewise.
        seed: seed of the resampling.
    """
    return song_distance("phrase_fid_official", generated, reference, seed=seed, official=True)
