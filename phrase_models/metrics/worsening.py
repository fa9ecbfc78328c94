"""How much worse one model is than another, with intervals over songs.

A *worsening* is 0 where a candidate is as good as the champion, above 0 where it is worse. Songs of
one plan are resampled together (`paired`), so what a plan makes easy or hard falls out; songs of
other plans each for themselves, which makes the interval wider.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from phrase_models.metrics.note_matching import PhraseCounts
from phrase_models.metrics.paired import paired_difference
from phrase_models.metrics.result import (
    MetricResult,
    bootstrap_values,
    percentile_interval,
    undefined,
)


@dataclass(frozen=True, slots=True)
class PlannedValues:
    """Values of L metrics for N generated songs and for the real songs of their plans.

    Attributes:
        ours: (L, N), nan where undefined.
        real: (L, N), nan where no real song has the plan.
    """

    ours: np.ndarray
    real: np.ndarray

    def departure(self, draw: np.ndarray) -> float:
        """How far the ratios of the means, ours over real, are from 1: mean over the L metrics."""
        ratios = [
            _ratio(ours, real)
            for ours, real in zip(self.ours[:, draw], self.real[:, draw], strict=True)
        ]
        known = [abs(ratio - 1.0) for ratio in ratios if not math.isnan(ratio)]
        return float(np.mean(known)) if known else math.nan


def _ratio(ours: np.ndarray, real: np.ndarray) -> float:
    whole = ~(np.isnan(ours) | np.isnan(real))
    if not whole.any() or real[whole].mean() == 0.0:
        return math.nan
    return float(ours[whole].mean() / real[whole].mean())


def score_worsening(
    name: str,
    candidate: Mapping[str, PhraseCounts],
    champion: Mapping[str, PhraseCounts],
    *,
    seed: int = 0,
) -> MetricResult:
    """Score of the champion minus that of the candidate, over the songs that both were scored on.

    Args:
        name: of a score in `ReconstructionScores`, such as "f1_op".
        candidate: counts of each held-out song.
        champion: likewise.
        seed: seed of the resampling.
    """
    common = candidate.keys() & champion.keys()
    return paired_difference(
        name,
        {song: candidate[song] for song in common},
        {song: champion[song] for song in common},
        seed=seed,
    )


def mean_worsening(
    name: str, candidate: np.ndarray, champion: np.ndarray, *, paired: bool, seed: int = 0
) -> MetricResult:
    """Mean of the champion's songs minus that of the candidate's, of a metric that is to be high.

    Args:
        name: of the metric.
        candidate: value of each song, `(N,)`; nan where undefined.
        champion: `(M,)`; in the same order of plans where `paired`.
        paired: whether song k of both is of one plan.
        seed: seed of the resampling.
    """
    if paired:
        whole = ~(np.isnan(candidate) | np.isnan(champion))
        candidate, champion = candidate[whole], champion[whole]
    else:
        candidate = candidate[~np.isnan(candidate)]
        champion = champion[~np.isnan(champion)]
    if not len(candidate) or not len(champion):
        return undefined(name, "undefined for all songs")
    return _worsening(
        name,
        (len(candidate), lambda draw: -float(candidate[draw].mean())),
        (len(champion), lambda draw: -float(champion[draw].mean())),
        paired=paired,
        seed=seed,
    )


def departure_worsening(
    name: str,
    candidate: PlannedValues,
    champion: PlannedValues,
    *,
    paired: bool,
    seed: int = 0,
) -> MetricResult:
    """By how much the candidate's ratios to real songs are farther from 1 than the champion's."""
    return _worsening(
        name,
        (candidate.ours.shape[1], candidate.departure),
        (champion.ours.shape[1], champion.departure),
        paired=paired,
        seed=seed,
        centred=True,
    )


def distance_worsening(
    name: str,
    candidate: MetricResult,
    champion: MetricResult,
    floors: tuple[float, float],
    *,
    paired: bool,
) -> MetricResult:
    """By how many times the distance of real songs the candidate is farther than the champion.

    Distances are taken as multiples of that of real songs in the same space, for the latents of two
    autoencoders have no common scale.

    Args:
        name: of the metric.
        candidate: its distance, with `resamples`.
        champion: likewise.
        floors: distance of real songs in the candidate's space and in the champion's.
        paired: whether song k of both is of one plan.
    """
    value = candidate.value / floors[0] - champion.value / floors[1] if all(floors) else math.nan
    if math.isnan(value):
        return undefined(name, "a distance is undefined")
    ours, theirs = np.array(candidate.resamples), np.array(champion.resamples)
    if len(ours) != len(theirs):
        return undefined(name, "measured with other numbers of resamples")
    # Resamples of unlike songs have nothing to do with each other, whatever their draws.
    resamples = ours / floors[0] - (theirs if paired else theirs[::-1]) / floors[1]
    low, high = percentile_interval(resamples, centre=value)
    return MetricResult(name, value, low, high, candidate.num_items)


def chance_of_as_many(count: int, num_songs: int, real_count: int, num_real: int) -> float:
    """Chance that as many songs or more have a property, were it as frequent as in real songs.

    Fisher's exact test, one-sided. 1 where there are no songs on one side.
    """
    if not num_songs or not num_real:
        return 1.0
    from scipy.stats import fisher_exact

    table = [[count, num_songs - count], [real_count, num_real - real_count]]
    return float(fisher_exact(table, alternative="greater").pvalue)


Badness = tuple[int, Callable[[np.ndarray], float]]
"""Number of songs, and a statistic of a draw of them that is to be low."""


def _worsening(
    name: str,
    candidate: Badness,
    champion: Badness,
    *,
    paired: bool,
    seed: int,
    centred: bool = False,
) -> MetricResult:
    (num_ours, ours), (num_theirs, theirs) = candidate, champion
    value = ours(np.arange(num_ours)) - theirs(np.arange(num_theirs))
    if math.isnan(value):
        return undefined(name, "undefined for one of the two")
    # One seed draws the same songs of both.
    resamples = bootstrap_values(num_ours, ours, seed=seed)
    others = bootstrap_values(num_theirs, theirs, seed=seed if paired else seed + 1)
    if len(resamples) != len(others):
        return MetricResult(name, value, math.nan, math.nan, num_ours)
    low, high = percentile_interval(resamples - others, centre=value if centred else None)
    return MetricResult(name, value, low, high, num_ours)
