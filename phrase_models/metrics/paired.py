"""How two models differ on the same songs.

Songs differ from each other far more than two models do on one song, so the interval of the
difference, resampling the songs of both together, tells models apart whose own intervals overlap.
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
