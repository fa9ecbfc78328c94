"""One measured number with its interval, and the two ways to get the interval.

Intervals are over songs, the unit that is drawn at random: phrases and bars of one song are far
from independent.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

NUM_RESAMPLES = 500
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric of one set of songs.

    Attributes:
        name: snake_case; `_official` ends the names that follow the released code's conventions.
        value: nan where the metric is undefined; the note then says why.
        low: lower end of the 95 % interval over songs, or nan.
        high: upper end of the 95 % interval over songs, or nan.
        num_items: songs that entered the value.
        note: plain words for the reader of a table; empty where there is nothing to say.
        resamples: value of each resample of the interval, where two models are compared by them;
            nan where one is undefined.
    """

    name: str
    value: float
    low: float
    high: float
    num_items: int
    note: str = ""
    resamples: tuple[float, ...] = field(default=(), compare=False, repr=False)


def undefined(name: str, note: str, *, num_items: int = 0) -> MetricResult:
    """A result without a value, and the reason."""
    return MetricResult(name, math.nan, math.nan, math.nan, num_items, note)


def bootstrap_interval(
    num_items: int,
    statistic: Callable[[np.ndarray], float],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    centre: float | None = None,
) -> tuple[float, float]:
    """95 % percentile interval of a statistic of songs, by resampling the songs.

    Args:
        num_items: songs.
        statistic: maps the indices of a resample, `[num_items]` int, to a number; resamples for
            which it is nan are left out.
        seed: seed of the resampling.
        num_resamples: resamples drawn.
        centre: if given, the interval is moved so that the median of the resamples falls here.
            Distances between distributions grow when songs are drawn twice, so their plain
            percentile interval can miss the value itself.

    Returns:
        Both ends; nan for fewer than two songs, or where under half of the resamples are defined.
    """
    values = bootstrap_values(num_items, statistic, seed=seed, num_resamples=num_resamples)
    return percentile_interval(values, centre=centre)


def bootstrap_values(
    num_items: int,
    statistic: Callable[[np.ndarray], float],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> np.ndarray:
    """The statistic of each resample, `[num_resamples]`, none for fewer than two songs.

    The draws depend on the number of songs and the seed alone, so two sets of as many songs are
    resampled together.
    """
    if num_items < 2:
        return np.zeros(0)
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, num_items, size=(num_resamples, num_items))
    return np.array([statistic(draw) for draw in draws], dtype=np.float64)


def percentile_interval(
    resamples: np.ndarray, *, centre: float | None = None
) -> tuple[float, float]:
    """95 % interval of resampled values; see `bootstrap_interval`."""
    values = resamples[~np.isnan(resamples)]
    if not len(values) or 2 * len(values) < len(resamples):
        return math.nan, math.nan
    tail = (1.0 - CONFIDENCE) / 2.0
    low, middle, high = (float(x) for x in np.quantile(values, (tail, 0.5, 1.0 - tail)))
    if centre is None:
        return low, high
    return low + centre - middle, high + centre - middle


def undefined_songs(num_undefined: int, num_songs: int, reasons: str = "") -> str:
    """How many songs have no value, and why, for the note of a result; "" for none."""
    if not num_undefined:
        return ""
    said = f"undefined for {num_undefined} of {num_songs} songs"
    return f"{said}: {reasons}" if reasons else said


def mean_result(
    name: str, values: Sequence[float], *, seed: int = 0, note: str = "", reasons: str = ""
) -> MetricResult:
    """Mean over the songs for which the metric is defined, with its bootstrap interval.

    Args:
        name: of the metric.
        values: one value a song; nan where undefined for that song, counted in the note.
        seed: seed of the resampling.
        note: put before the count of undefined songs.
        reasons: put after it, such as "1 silent".
    """
    array = np.asarray(values, dtype=np.float64)
    defined = array[~np.isnan(array)]
    notes = [note] if note else []
    if len(defined) < len(array):
        notes.append(undefined_songs(len(array) - len(defined), len(array), reasons))
    if not len(defined):
        return undefined(name, "; ".join(notes) or "no songs")
    low, high = bootstrap_interval(
        len(defined), lambda draw: float(defined[draw].mean()), seed=seed
    )
    return MetricResult(name, float(defined.mean()), low, high, len(defined), "; ".join(notes))


def proportion_result(name: str, flags: Sequence[bool], *, note: str = "") -> MetricResult:
    """Share of songs with a property, with the exact binomial (Clopper-Pearson) interval.

    The bootstrap of a share that is 0 or 1 has no width, although 0 of 20 songs leaves room for
    17 %; this interval says so.
    """
    num_items = len(flags)
    if not num_items:
        return undefined(name, note or "no songs")
    from scipy.special import betaincinv

    successes = sum(flags)
    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.0
    high = 1.0
    if successes > 0:
        low = float(betaincinv(successes, num_items - successes + 1, tail))
    if successes < num_items:
        high = float(betaincinv(successes + 1, num_items - successes, 1.0 - tail))
    return MetricResult(name, successes / num_items, low, high, num_items, note)
