"""The form of a song that is there, exactly, from its tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm
from phrase_models.score.song import Section
from phrase_models.tokens.vocabulary import FIRST_DURATION, FIRST_ONSET, FIRST_PITCH

LAGS = (8, 4, 2, 1)
"""Distances in bars at which a source is looked for, where no section offers one."""

Slots = Sequence[Sequence[Sequence[int]]]
"""Token ids of every slot of every bar, in the `role` layout."""


@dataclass(frozen=True, slots=True)
class _CellKeys:
    """What of a phrase is compared; None for silence."""

    exact: tuple[int, ...] | None
    notes: tuple[int, ...] | None
    rhythm: frozenset[int] | None

    def by_strength(self) -> tuple[tuple[CellState, object], ...]:
        return (
            (CellState.REPEATS, self.exact),
            (CellState.VARIES_NOTES, self.notes),
            (CellState.VARIES_RHYTHM, self.rhythm),
        )


def is_silent(phrase: Sequence[int]) -> bool:
    """Whether token ids of a slot hold no note: special phrases, and what completes none."""
    return not any(token >= FIRST_DURATION for token in phrase)


def _keys(phrase: Sequence[int]) -> _CellKeys:
    if is_silent(phrase):
        return _CellKeys(None, None, None)
    notes = tuple(token for token in phrase if FIRST_ONSET <= token < FIRST_DURATION)
    return _CellKeys(tuple(phrase), notes, frozenset(t for t in notes if t < FIRST_PITCH))


def form_of_slots(slots: Slots, sections: Sequence[Section] = ()) -> SongForm:
    """What each cell of a song takes up, from its tokens.

    A cell is related to the earlier bars of its slot in the strongest way there is: equal tokens,
    else equal onsets and pitches, else an equal set of onsets. Where several bars offer that, the
    source is the first that does of: the matching bars (same place in the section) of the earlier
    sections of the same label, those sections first that fit most cells of this whole section, and
    the earlier of two that fit equally; the bar that another slot of this bar takes up; the bars 8,
    4, 2 and 1 before; the earliest. So the slots of a bar and the bars of a section have one source
    wherever they can. The classes of equal phrases (`roots`, `relations`) do not depend on it.

    Args:
        slots: token ids (N, S, any length), the `role` layout of `tokens.song_layout`.
        sections: contiguous from bar 0; bars beyond them, or all without them, have no matching
            bars.

    Raises:
        ConfigurationError: for no bar, or bars of different numbers of slots.
    """
    if not slots or len({len(bar) for bar in slots}) != 1:
        message = "A form is taken from at least one bar, and all bars have equally many slots."
        raise ConfigurationError(message)
    states, fits = _strongest_likeness(slots)
    matching = _matching_bars(fits, sections)
    sources = np.full(states.shape, NO_SOURCE, np.int64)
    for bar, choices in enumerate(fits):
        _choose_sources(bar, choices, matching[bar], sources)
    return SongForm(states, sources)


def _strongest_likeness(slots: Slots) -> tuple[NDArray[np.int8], list[list[list[int]]]]:
    """States (N, S), and for each cell the earlier bars that are like it in that way."""
    states = np.full((len(slots), len(slots[0])), CellState.NEW, np.int8)
    fits: list[list[list[int]]] = []
    seen: dict[tuple[int, CellState, object], list[int]] = {}
    for bar, phrases in enumerate(slots):
        fits.append([])
        for slot, phrase in enumerate(phrases):
            choices: list[int] = []
            for state, key in _keys(phrase).by_strength():
                if key is None:
                    states[bar, slot] = CellState.SILENT
                    continue
                before = seen.setdefault((slot, state, key), [])
                if before and not choices:
                    states[bar, slot], choices = state, list(before)
                before.append(bar)
            fits[-1].append(choices)
    return states, fits


def _matching_bars(fits: list[list[list[int]]], sections: Sequence[Section]) -> list[list[int]]:
    """For each bar those of the same place in earlier sections of its label, best section first."""
    matching: list[list[int]] = [[] for _ in fits]
    for index, section in enumerate(sections):
        earlier = [other for other in sections[:index] if other.label == section.label]
        shared = [list(_shared_bars(section, other, len(fits))) for other in earlier]
        for pairs in sorted(shared, key=lambda pairs: -_num_fitting(fits, pairs)):
            for bar, source in pairs:
                matching[bar].append(source)
    return matching


def _shared_bars(section: Section, other: Section, num_bars: int) -> Iterator[tuple[int, int]]:
    for place in range(min(section.num_bars, other.num_bars)):
        if section.start_bar + place < num_bars:
            yield section.start_bar + place, other.start_bar + place


def _num_fitting(fits: list[list[list[int]]], pairs: list[tuple[int, int]]) -> int:
    return sum(source in choices for bar, source in pairs for choices in fits[bar])


def _choose_sources(
    bar: int, choices: list[list[int]], matching: list[int], sources: NDArray[np.int64]
) -> None:
    """Fill row `bar` of sources (N, S) from the bars that would do for each slot."""
    row = sources[bar]

    def take(place: int) -> None:
        for slot, possible in enumerate(choices):
            if row[slot] == NO_SOURCE and place in possible:
                row[slot] = place

    for place in matching:
        take(place)
    for place in [int(source) for source in row if source != NO_SOURCE]:
        take(place)
    for lag in LAGS:
        take(bar - lag)
    for slot, possible in enumerate(choices):
        if possible and row[slot] == NO_SOURCE:
            taken = [int(place) for place in row if place in possible]
            row[slot] = taken[0] if taken else possible[0]
