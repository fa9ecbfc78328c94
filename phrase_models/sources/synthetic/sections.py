"""Section layouts of composed songs: which letters follow each other, and how long they are."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from phrase_models.score.song import Section
from phrase_models.sources.synthetic.harmony import chance, pick

PLANS: Final = (
    "i A A B b A A B B o",
    "i A B x A B B o",
    "i A A B B x A B B X o",
    "i A B C x A B C C o",
    "i A A B C b b A B C C X",
    "i A A B B b b A A B B B o",
    "i A B b A B x C B B o",
    "i A A X B B x A A B B C B o",
    "i A A B B x B B o",
    "A A B x A B B o",
    "i A A B B C C b b A B C C x C o",
    "i A A A B b A B X",
)
SHORT_PLANS: Final = ("i A B A o", "i A A B o", "A A B A", "i A B", "A B A o", "i A b A", "A B")
SHORT_SONG: Final = 32  # bars; shorter songs use short plans and half-length sections
LENGTHS: Final = {
    "A": (8, 8, 8, 8, 4, 4, 16, 9, 12, 5),
    "B": (8, 8, 8, 8, 4, 4, 9, 5, 10, 16),
    "C": (8, 8, 4, 4, 9, 5),
    "X": (1, 2, 2, 4, 3, 5),
    "i": (4, 4, 8, 8, 9, 5, 7, 12),
    "b": (4, 4, 4, 2, 5, 6),
    "x": (4, 8, 7, 4, 3, 5, 8),
    "o": (3, 2, 4, 1, 5, 6, 8),
}
NUM_PLAN_DRAWS: Final = 60


def plan_sections(
    generator: np.random.Generator, min_bars: int, max_bars: int
) -> tuple[Section, ...]:
    """Draw a section layout with a length between the bounds, sections of a letter mostly alike.

    The length is drawn from a triangle that leans to long songs, as in POP909 (median 76 bars of
    19 to 128); the plan with the nearest length of some draws is taken and fitted.
    """
    if min_bars == max_bars:
        target = min_bars
    else:
        mode = min_bars + 0.62 * (max_bars - min_bars)
        target = round(generator.triangular(min_bars, mode, max_bars))
    best: list[tuple[str, int]] = []
    for _ in range(NUM_PLAN_DRAWS):
        candidate = _draw_plan(generator, short=target < SHORT_SONG)
        if not best or abs(_total(candidate) - target) < abs(_total(best) - target):
            best = candidate
    sections: list[Section] = []
    start = 0
    for label, length in _fit_plan(best, min_bars, max_bars):
        sections.append(Section(label, start, length))
        start += length
    return tuple(sections)


def _draw_plan(generator: np.random.Generator, *, short: bool) -> list[tuple[str, int]]:
    labels = pick(generator, SHORT_PLANS if short else PLANS).split()
    lengths = {label: pick(generator, options) for label, options in LENGTHS.items()}
    if short:
        lengths = {label: max(1, length // 2) for label, length in lengths.items()}
    plan = [(label, lengths[label]) for label in labels]
    if not short and chance(generator, 0.25):
        # A bar between two sections that belongs to neither, as in many annotations.
        place = int(generator.integers(2, len(plan)))
        plan.insert(place, (pick(generator, "xX"), 1))
    if chance(generator, 0.1):
        # The last sung section is often drawn out.
        last = max(place for place, (label, _) in enumerate(plan) if label.isupper())
        plan[last] = (plan[last][0], plan[last][1] + 1)
    return plan


def _total(plan: Sequence[tuple[str, int]]) -> int:
    return sum(length for _, length in plan)


def _fit_plan(
    plan: Sequence[tuple[str, int]], min_bars: int, max_bars: int
) -> list[tuple[str, int]]:
    """Shorten sections from the end, or lengthen the last one, until the length fits."""
    fitted = list(plan)
    while (excess := _total(fitted) - max_bars) > 0:
        label, length = fitted.pop()
        if length > excess:
            fitted.append((label, length - excess))
    missing = min_bars - _total(fitted)
    if missing > 0:
        label, length = fitted[-1]
        fitted[-1] = (label, length + missing)
    return fitted
