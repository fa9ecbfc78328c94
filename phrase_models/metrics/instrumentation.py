"""How often the set of playing programs changes at section boundaries and inside sections.

Reproduces the figures of paper section 5.6 with its definitions: the boundary of a section is its
first bar against the bar before (nothing before bar 0); "inside" is every bar of a section against
the bar that follows it, so the step into the next section and the last bar against nothing count
as inside too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from phrase_models.score.song import ROLE_PROGRAMS, STEPS_PER_BAR, Section, Song


@dataclass(frozen=True, slots=True)
class InstrumentationChange:
    """Counts of bar pairs whose programs differ, addable over songs.

    Attributes:
        num_boundary: pairs at section boundaries.
        boundary: of these, pairs whose programs or their order (by mean pitch) differ.
        boundary_set: of these, pairs whose programs differ in any order.
        num_inside: pairs inside sections.
        inside: of these, pairs whose programs or their order differ.
        inside_set: of these, pairs whose programs differ in any order.
    """

    num_boundary: int = 0
    boundary: int = 0
    boundary_set: int = 0
    num_inside: int = 0
    inside: int = 0
    inside_set: int = 0

    def __add__(self, other: "InstrumentationChange") -> "InstrumentationChange":
        """Counts of both."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return InstrumentationChange(*(a + b for a, b in pairs))

    def rates(self) -> dict[str, float]:
        """The four probabilities of the paper; nan where no pair was seen."""
        return {
            "boundary": _rate(self.boundary, self.num_boundary),
            "inside": _rate(self.inside, self.num_inside),
            "boundary_set": _rate(self.boundary_set, self.num_boundary),
            "inside_set": _rate(self.inside_set, self.num_inside),
        }


def _rate(count: int, total: int) -> float:
    return count / total if total else math.nan


def bar_programs(song: Song) -> list[tuple[int, ...]]:
    """Programs with an onset in each bar, by descending mean pitch.

    Ties: earlier first onset, then melody, bridge, piano, then the lower program.
    """
    bars: list[dict[int, list[tuple[int, int]]]] = [{} for _ in range(song.num_bars)]
    for track in song.tracks:
        for note in track.notes:
            bar = note.onset // STEPS_PER_BAR
            if 0 <= bar < song.num_bars:
                bars[bar].setdefault(track.program, []).append((note.onset, note.pitch))
    return [tuple(sorted(bar, key=lambda program: _rank(program, bar[program]))) for bar in bars]


def _rank(program: int, notes: Sequence[tuple[int, int]]) -> tuple[float, int, int, int]:
    mean_pitch = sum(pitch for _, pitch in notes) / len(notes)
    role = ROLE_PROGRAMS.index(program) if program in ROLE_PROGRAMS else len(ROLE_PROGRAMS)
    return -mean_pitch, min(onset for onset, _ in notes), role, program


def instrumentation_change(
    bars: Sequence[Sequence[int]], sections: Iterable[Section]
) -> InstrumentationChange:
    """Count changes of programs in one song.

    Args:
        bars: the programs of each bar in order (`bar_programs`).
        sections: sections of the song; bars beyond the song count as playing nothing.

    Returns:
        Counts; add them over songs and take `rates()` of the sum.
    """

    def programs(bar: int) -> tuple[int, ...]:
        return tuple(bars[bar]) if 0 <= bar < len(bars) else ()

    boundary: list[tuple[bool, bool]] = []
    inside: list[tuple[bool, bool]] = []
    for section in sections:
        boundary.append(_differ(programs(section.start_bar - 1), programs(section.start_bar)))
        bars_inside = range(section.start_bar, section.start_bar + section.num_bars)
        inside.extend(_differ(programs(bar), programs(bar + 1)) for bar in bars_inside)
    return InstrumentationChange(
        num_boundary=len(boundary),
        boundary=sum(ordered for ordered, _ in boundary),
        boundary_set=sum(as_set for _, as_set in boundary),
        num_inside=len(inside),
        inside=sum(ordered for ordered, _ in inside),
        inside_set=sum(as_set for _, as_set in inside),
    )


def _differ(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[bool, bool]:
    return before != after, frozenset(before) != frozenset(after)
