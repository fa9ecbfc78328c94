"""What a slot does in a section on the whole: silent, a copy, or how much plays and is repeated."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from phrase_models.form.song_form import CellState

EXACT_SHARES = (0.1, 0.5, 0.85)
"""Shares of exact repeats among the bars that play, between the levels."""
SILENT_MODE = 0
COPY_MODE = 1 + 2 * (len(EXACT_SHARES) + 1)
"""Every bar equals the matching bar of the section that is taken up, sounding or silent."""
NUM_MODES = COPY_MODE + 1

SILENT_BAR, EXACT_BAR, OTHER_BAR = range(3)
"""Kinds of bars that a mode counts: silent, repeated exactly, new or varied."""
Counts = tuple[int, int, int]
"""Bars of each kind."""


def bar_kind(state: int) -> int:
    """Kind of a bar by its CellState."""
    if state == 0:
        return SILENT_BAR
    return EXACT_BAR if state == 2 else OTHER_BAR


def mode_of(states: NDArray[np.int8]) -> int:
    """Mode of a slot that is no copy from its states (bars,) in a section."""
    silent = int((states == CellState.SILENT).sum())
    exact = int((states == CellState.REPEATS).sum())
    return mode_of_counts((silent, exact, len(states) - silent - exact))


def mode_of_counts(counts: Counts) -> int:
    """Mode of a section with these bars."""
    silent, exact, other = counts
    if not exact + other:
        return SILENT_MODE
    share = exact / (exact + other)
    level = sum(share > bound for bound in EXACT_SHARES)
    return 1 + 2 * level + int(not silent)


def silence_of(states: Sequence[int]) -> int:
    """0 for a silent slot, 1 for one that is silent in places, 2 for one that plays throughout."""
    return int(any(states)) + int(all(states))


@lru_cache(maxsize=1 << 17)
def is_reachable(mode: int, counts: Counts, num_left: int) -> bool:
    """Whether a section with these bars can end in a mode when so many bars are left."""
    silent, exact, other = counts
    for more_silent in range(num_left + 1):
        for more_exact in range(num_left - more_silent + 1):
            more_other = num_left - more_silent - more_exact
            if mode == mode_of_counts(
                (silent + more_silent, exact + more_exact, other + more_other)
            ):
                return True
    return False


def bars_that_lead_to(mode: int, counts: Counts, num_left: int) -> tuple[bool, bool, bool]:
    """Which kinds of bar may come next, `num_left` bars after it, for a section to get its mode.

    All may where none helps: the mode can no longer be reached.
    """
    silent, exact, other = counts
    kinds = (
        is_reachable(mode, (silent + 1, exact, other), num_left),
        is_reachable(mode, (silent, exact + 1, other), num_left),
        is_reachable(mode, (silent, exact, other + 1), num_left),
    )
    return kinds if any(kinds) else (True, True, True)
