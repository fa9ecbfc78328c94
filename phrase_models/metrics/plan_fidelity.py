"""Does a generated song follow the plan it was asked for: its length and its sections?"""

import math
from collections.abc import Sequence

import numpy as np

from phrase_models.score.song import Section

BUCKET_BARS = 10
BOUNDARY_TOLERANCE = 1


def is_exact_length(num_bars: int, requested_bars: int) -> bool:
    """Whether the song has the number of bars asked for."""
    return num_bars == requested_bars


def is_length_in_bucket(
    num_bars: int, requested_bars: int, *, bucket_bars: int = BUCKET_BARS
) -> bool:
    """Whether both lengths fall in one bucket: 64 bars asked for accept 60 up to 69."""
    return num_bars // bucket_bars == requested_bars // bucket_bars


def is_length_official(
    num_bars: int, requested_bars: int, *, bucket_bars: int = BUCKET_BARS
) -> bool:
    """As the paper writes (section 4.3.5): 64 bars asked for accept 60 up to and including 70."""
    low = requested_bars // bucket_bars * bucket_bars
    return low <= num_bars <= low + bucket_bars


def same_label_similarity(ssm: np.ndarray, sections: Sequence[Section]) -> float:
    """Mean similarity of aligned bars of sections with one label, minus that of other sections.

    Two sections are aligned at their first bars up to the shorter one's length; each aligned pair
    of bars counts once. Above 0 where what is called the same sounds more alike than the rest.

    Args:
        ssm: similarity of bars, (num_bars, num_bars).
        sections: sections of the song; bars beyond the song are left out.

    Undefined (nan): no pair of sections with one label, or none with two.
    """
    same: list[np.ndarray] = []
    other: list[np.ndarray] = []
    for index, first in enumerate(sections):
        for second in sections[index + 1 :]:
            length = min(
                first.num_bars,
                second.num_bars,
                len(ssm) - first.start_bar,
                len(ssm) - second.start_bar,
            )
            if length < 1:
                continue
            offsets = np.arange(length)
            cells = ssm[first.start_bar + offsets, second.start_bar + offsets]
            (same if first.label == second.label else other).append(cells)
    if not same or not other:
        return math.nan
    return float(np.concatenate(same).mean() - np.concatenate(other).mean())


def boundary_f1(
    found: Sequence[int], requested: Sequence[int], *, tolerance: int = BOUNDARY_TOLERANCE
) -> float:
    """F1 of found boundaries, each matched with at most one requested one within the tolerance.

    Args:
        found: bar indices.
        requested: bar indices.
        tolerance: largest distance of a match, in bars.

    Undefined (nan): neither side has a boundary.
    """
    if not found and not requested:
        return math.nan
    hits = 0
    waiting = sorted(requested)
    for bar in sorted(found):
        # Both in order: taking the earliest requested boundary in reach is the largest matching.
        while waiting and waiting[0] < bar - tolerance:
            waiting.pop(0)
        if waiting and waiting[0] <= bar + tolerance:
            waiting.pop(0)
            hits += 1
    return 2 * hits / (len(found) + len(requested))


def section_boundaries(sections: Sequence[Section]) -> list[int]:
    """First bars of all sections but the one at bar 0."""
    return [section.start_bar for section in sections if section.start_bar > 0]
