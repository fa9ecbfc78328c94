"""How two models differ on the same songs, and how generated songs differ from real ones.

Songs differ from each other far more than two models do on one song, so the interval of the
difference, resampling the songs of both together, tells models apart whose own intervals overlap.
For the same reason a generated song is compared with the real song of its layout and form.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple

import numpy as np

from phrase_models.metrics.note_matching import PhraseCounts, add_counts, pool
from phrase_models.metrics.result import MetricResult, bootstrap_interval, undefined


def paired_difference(
    name: str,
    first: Mapping[str, PhraseCounts],
    second: Mapping[str, PhraseCounts],
    *,
    seed: int = 0,
) -> MetricResult:
    """Score of the second model minus that of the first, with its bootstrap interval over songs.

    Args:
        name: of a score in `ReconstructionScores`, such as "f1_op".
        first: counts of each song by one model.
        second: counts of each song by the other.
        seed: seed of the resampling.

    Returns:
        The difference; undefined where the two were not measured on the same songs, or where a
        score is.
    """
    if first.keys() != second.keys() or not first:
        return undefined(name, "not the same songs")
    songs = sorted(first)
    tables = [
        np.array([astuple(counts[song]) for song in songs], np.int64) for counts in (first, second)
    ]

    def difference(draw: np.ndarray) -> float:
        totals = [PhraseCounts(*table[draw].sum(axis=0).tolist()) for table in tables]
        before, after = (float(getattr(pool([total]), name)) for total in totals)
        return after - before

    value = difference(np.arange(len(songs)))
    if math.isnan(value):
        return undefined(name, "a score is undefined")
    low, high = bootstrap_interval(len(songs), difference, seed=seed)
    return MetricResult(name, value, low, high, len(songs))


def pool_seeds(trainings: Sequence[Mapping[str, PhraseCounts]]) -> dict[str, PhraseCounts]:
    """Counts of each song, added up over trainings that differ in their seed only.

    Only songs that all of them were measured on; none without any training.
    """
    if not trainings:
        return {}
    common = set.intersection(*(set(counts) for counts in trainings))
    return {song: add_counts(counts[song] for counts in trainings) for song in sorted(common)}


def paired_ratio(name: str, ours: np.ndarray, real: np.ndarray, *, seed: int = 0) -> MetricResult:
    """Mean of generated songs over the mean of the real songs of the same plans.

    A ratio of means, not a mean of ratios: a real song with value 0 would make its ratio infinite.
    The interval resamples pairs, so what a plan makes easy or hard falls out.

    Args:
        name: of the metric.
        ours: value of each generated song, `(N,)`; nan where undefined.
        real: value of the real song of the same layout and form, `(N,)`, in the same order.
        seed: seed of the resampling.

    Returns:
        The ratio over the pairs in which both values are there; the note says how many are not.
        Undefined without such a pair, or where the real mean is 0.

    Raises:
        ValueError: if the arrays are not of one length.
    """
    ours, real = np.asarray(ours, dtype=np.float64), np.asarray(real, dtype=np.float64)
    if ours.shape != real.shape or ours.ndim != 1:
        message = f"pairs need one value on each side, there are {ours.shape} and {real.shape}"
        raise ValueError(message)
    whole = ~(np.isnan(ours) | np.isnan(real))
    num_dropped = int(len(ours) - whole.sum())
    note = f"undefined for {num_dropped} of {len(ours)} pairs" if num_dropped else ""
    ours, real = ours[whole], real[whole]
    if not len(real) or real.mean() == 0.0:
        reason = "the real songs have mean 0" if len(real) else "no pairs"
        return undefined(name, "; ".join(filter(None, (reason, note))), num_items=len(real))

    def ratio(draw: np.ndarray) -> float:
        below = real[draw].mean()
        return float(ours[draw].mean() / below) if below != 0.0 else math.nan

    low, high = bootstrap_interval(len(real), ratio, seed=seed)
    return MetricResult(name, ratio(np.arange(len(real))), low, high, len(real), note)
