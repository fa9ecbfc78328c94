"""A form as a chain of decisions, song, section, bar and slot in turn.

`walk` goes through a song and has every decision made by somebody else: by a table that is being
counted, by one that scores, or by one that draws. So what is fitted, scored and drawn is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from phrase_models.form.count_table import Contexts, index_of
from phrase_models.form.form_extraction import LAGS
from phrase_models.form.section_modes import (
    COPY_MODE,
    EXACT_BAR,
    NUM_MODES,
    OTHER_BAR,
    SILENT_BAR,
    SILENT_MODE,
    Counts,
    bar_kind,
    bars_that_lead_to,
    is_reachable,
    mode_of,
    silence_of,
)
from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm
from phrase_models.score.song import Section

MELODY, BRIDGE, PIANO = range(3)
SLOT_ORDER = (MELODY, PIANO, BRIDGE)
"""In which the slots of a bar are decided; the bridge depends on the others most."""

SECTION_ROLES = ("i", "o", "x", "b", "X")
"""Intro, outro, interludes, bridge; the last index stands for sung sections."""

# Which earlier section of its label a section takes up.
NO_SECTION, CONTINUES, LATEST, FIRST, BETWEEN = range(5)
NUM_SOURCE_CHOICES = 5
"""CONTINUES is the section after the one that the section before took up."""

# Places that a cell can take up, in the order in which they are looked for.
MATCH, RUN, SAME, OTHER_MATCH = range(4)
"""Matching bar of the section's source; the bar after the source of the bar before; the bar that
another slot of this bar takes up; matching bars of other sections of the label. Then the LAGS and
any other bar."""
NUM_PLACES = 4 + len(LAGS) + 1
_NEW, _REPEATS = int(CellState.NEW), int(CellState.REPEATS)  # looking up members is slow
_COPIES = (_REPEATS, int(CellState.VARIES_NOTES), int(CellState.VARIES_RHYTHM))
NUM_CELL_SYMBOLS = 2 + len(_COPIES) * NUM_PLACES

SOURCE_LEVELS, MODE_LEVELS, CELL_LEVELS = 4, 5, 6
_NO_MODE = NUM_MODES
_START = 7  # stands for the cell before the first


@dataclass(frozen=True, slots=True)
class Temperament:
    """How a whole song repeats, as levels.

    Attributes:
        exact: how much each slot repeats exactly.
        bridge: how much the bridge plays.
        whole: how often whole bars, all slots, repeat one bar.
    """

    exact: tuple[int, int, int]
    bridge: int
    whole: int


class Decider(Protocol):
    """Makes the decisions of a walk."""

    def choose(
        self, table: str, contexts: Contexts, allowed: NDArray[np.bool_], answer: int | None
    ) -> int:
        """One of the allowed symbols (K,) of a table; `answer` is what the given form did."""

    def pick(self, candidates: Sequence[int], answer: int | None) -> int:
        """One of several bars or sections, all alike."""


@dataclass(slots=True)
class _Walk:
    """Where a walk stands."""

    sections: Sequence[Section]
    temperament: Temperament
    decider: Decider
    given: SongForm | None
    earlier: list[list[int]]
    """For each section the earlier ones of its label."""
    states: list[list[int]]
    """(S, bars so far); likewise the sources."""
    sources: list[list[int]]
    played: list[list[int]]
    """(S, any): bars so far in which a slot plays."""
    section_sources: list[int] = field(default_factory=list)
    modes: list[list[int]] = field(default_factory=list)


def walk(
    sections: Sequence[Section],
    temperament: Temperament,
    decider: Decider,
    given: SongForm | None = None,
) -> SongForm:
    """Decide a form section by section.

    Args:
        sections: contiguous from bar 0.
        temperament: of the song.
        decider: makes the decisions.
        given: the form whose decisions are told to the decider; its bars are those of the sections.
    """
    labels = [section.label for section in sections]
    earlier = [[i for i in range(k) if labels[i] == label] for k, label in enumerate(labels)]
    states: list[list[int]] = [[] for _ in SLOT_ORDER]
    sources: list[list[int]] = [[] for _ in SLOT_ORDER]
    played: list[list[int]] = [[] for _ in SLOT_ORDER]
    state = _Walk(sections, temperament, decider, given, earlier, states, sources, played)
    for index in range(len(sections)):
        source = _decide_source(state, index)
        state.section_sources.append(source)
        _decide_modes(state, index)
        for place in range(sections[index].num_bars):
            for order in range(len(SLOT_ORDER)):
                _decide_cell(state, index, place, order)
    return SongForm(np.array(states, np.int8).T, np.array(sources, np.int64).T)


# --------------------------------------------------------------------------- sections
def section_role(label: str) -> int:
    """Index of the role of a label, sung sections last."""
    return index_of(SECTION_ROLES, label)


def _decide_source(walk_: _Walk, index: int) -> int:
    """Index of the earlier section that a section takes up, or NO_SOURCE."""
    sections = walk_.sections
    earlier = walk_.earlier[index]
    if not earlier:
        return NO_SOURCE
    choices: list[list[int]] = [[] for _ in range(NUM_SOURCE_CHOICES)]
    choices[NO_SECTION] = [NO_SOURCE]
    before = walk_.section_sources[-1]
    remaining = list(earlier)
    for choice, section in (
        (CONTINUES, before + 1 if before != NO_SOURCE else NO_SOURCE),
        (LATEST, earlier[-1]),
        (FIRST, earlier[0]),
    ):
        if section in remaining:
            choices[choice] = [section]
            remaining.remove(section)
    choices[BETWEEN] = remaining
    answer = None if walk_.given is None else _observed_source(walk_.given, sections, index)
    return _choose_group(walk_, "source", _source_contexts(walk_, index, choices), choices, answer)


def _observed_source(form: SongForm, sections: Sequence[Section], index: int) -> int:
    """The section of the same label that most cells take up; exact repeats count twice."""
    section, best, most = sections[index], NO_SOURCE, 0
    for earlier in range(index):
        other = sections[earlier]
        if other.label != section.label:
            continue
        places = np.arange(min(section.num_bars, other.num_bars))
        rows = section.start_bar + places
        matches = form.sources[rows] == (other.start_bar + places)[:, None]
        count = int((matches * (1 + (form.states[rows] == CellState.REPEATS))).sum())
        if count > most:
            best, most = earlier, count
    return best


def _source_contexts(walk_: _Walk, index: int, choices: list[list[int]]) -> Contexts:
    sections, section = walk_.sections, walk_.sections[index]
    there = sum(2**choice for choice, found in enumerate(choices) if found)
    again = int(sections[index - 1].label == section.label)
    base = (there, again, _continuity(walk_, index))
    alike = (*base, _likeness(walk_, index, choices))
    return (
        base,
        alike,
        (*alike, walk_.temperament.whole),
        (*alike, walk_.temperament.whole, section_role(section.label)),
    )


def _continuity(walk_: _Walk, index: int) -> int:
    """Whether the section before took up the one after what the section before it took up."""
    if not index or walk_.section_sources[index - 1] == NO_SOURCE:
        return 0
    source = walk_.section_sources[index - 1]
    continued = index > 1 and source == walk_.section_sources[index - 2] + 1 > 0
    copied = all(mode in {COPY_MODE, SILENT_MODE} for mode in walk_.modes[index - 1])
    return 1 + int(continued) + 2 * int(copied)


def _likeness(walk_: _Walk, index: int, choices: list[list[int]]) -> int:
    """Which of the choices have this section's length, and are followed as this section is."""
    sections, bits = walk_.sections, 0
    after = sections[index + 1].label if index + 1 < len(sections) else ""
    for choice in (CONTINUES, LATEST, FIRST):
        for found in choices[choice]:
            same_length = sections[found].num_bars == sections[index].num_bars
            bits += 4**choice * (int(same_length) + 2 * int(sections[found + 1].label == after))
    return bits


def _choose_group(
    walk_: _Walk, table: str, contexts: Contexts, groups: list[list[int]], answer: int | None
) -> int:
    """A group of candidates, then one of them."""
    allowed = np.array([bool(group) for group in groups])
    group_answer = None
    if answer is not None:
        group_answer = next(i for i, group in enumerate(groups) if answer in group)
    group = groups[walk_.decider.choose(table, contexts, allowed, group_answer)]
    return walk_.decider.pick(group, answer) if len(group) > 1 else group[0]


# --------------------------------------------------------------------------- slots of a section
def _decide_modes(walk_: _Walk, index: int) -> None:
    section = walk_.sections[index]
    modes = [_NO_MODE] * len(SLOT_ORDER)
    walk_.modes.append(modes)
    num_bars = section.num_bars
    allowed = np.array([is_reachable(mode, (0, 0, 0), num_bars) for mode in range(NUM_MODES)])
    for slot in SLOT_ORDER:
        allowed[COPY_MODE] = _can_copy(walk_, index, slot)
        answer = None
        if walk_.given is not None:
            bars = slice(section.start_bar, section.start_bar + section.num_bars)
            copied = allowed[COPY_MODE] and _is_copy(walk_, walk_.given, index, slot)
            answer = COPY_MODE if copied else mode_of(walk_.given.states[bars, slot])
        contexts = _mode_contexts(walk_, index, slot)
        modes[slot] = walk_.decider.choose("mode", contexts, allowed, answer)


def _states_of_source(walk_: _Walk, index: int, slot: int) -> list[int]:
    """States of a slot in the section that is taken up, as many bars as this section has."""
    source = walk_.sections[walk_.section_sources[index]]
    num_bars = min(walk_.sections[index].num_bars, source.num_bars)
    return walk_.states[slot][source.start_bar : source.start_bar + num_bars]


def _can_copy(walk_: _Walk, index: int, slot: int) -> bool:
    if walk_.section_sources[index] == NO_SOURCE:
        return False
    states = _states_of_source(walk_, index, slot)
    return len(states) == walk_.sections[index].num_bars and any(states)


def _is_copy(walk_: _Walk, given: SongForm, index: int, slot: int) -> bool:
    for place, state in enumerate(_states_of_source(walk_, index, slot)):
        bar = walk_.sections[index].start_bar + place
        match = _matching_bar(walk_, index, walk_.section_sources[index], place)
        wanted = (_REPEATS, match) if state else (0, NO_SOURCE)
        if (int(given.states[bar, slot]), int(given.sources[bar, slot])) != wanted:
            return False
    return True


def _mode_contexts(walk_: _Walk, index: int, slot: int) -> Contexts:
    section, modes = walk_.sections[index], walk_.modes
    source = walk_.section_sources[index]
    taken = 6
    if source != NO_SOURCE:
        taken = silence_of(_states_of_source(walk_, index, slot))
        taken += 3 * _can_copy(walk_, index, slot)
    level = walk_.temperament.exact[slot] + 3 * (walk_.temperament.bridge * (slot == BRIDGE))
    long = sum(section.num_bars >= bars for bars in (3, 5, 8, 12))
    others = modes[index][MELODY], modes[index][PIANO]
    base = (slot, taken, _chain(walk_, index))
    joint = (*base, *map(_mode_class, others), walk_.temperament.whole, level)
    return (
        base,
        joint[:-1],
        joint,
        (*joint, long),
        (*joint, long, section_role(section.label), *others),
    )


def _mode_class(mode: int) -> int:
    """Undecided, silent, copy or anything else."""
    return {_NO_MODE: 0, SILENT_MODE: 1, COPY_MODE: 2}.get(mode, 3)


def _chain(walk_: _Walk, index: int) -> int:
    """How a section goes on from the one before: 0 to 4."""
    source = walk_.section_sources[index]
    if source == NO_SOURCE:
        return 0
    if not index or source != walk_.section_sources[index - 1] + 1:
        return 1
    before = walk_.modes[index - 1]
    if COPY_MODE not in before:
        return 2
    return 3 + int(all(mode in {COPY_MODE, SILENT_MODE} for mode in before))


# --------------------------------------------------------------------------- cells
def _decide_cell(walk_: _Walk, index: int, place: int, order: int) -> None:
    slot, bar = SLOT_ORDER[order], walk_.sections[index].start_bar + place
    if walk_.modes[index][slot] == COPY_MODE:
        source = _matching_bar(walk_, index, walk_.section_sources[index], place)
        state = _REPEATS if walk_.states[slot][source] else 0
        source = source if state else NO_SOURCE
    else:
        state, source = _choose_cell(walk_, index, place, order)
    walk_.states[slot].append(state)
    walk_.sources[slot].append(source)
    if state:
        walk_.played[slot].append(bar)


def _choose_cell(walk_: _Walk, index: int, place: int, order: int) -> tuple[int, int]:
    """State and source of a cell."""
    slot, bar = SLOT_ORDER[order], walk_.sections[index].start_bar + place
    places = _candidates(walk_, index, place, order)
    counts = _counts(walk_, index, place, slot)
    left = walk_.sections[index].num_bars - place - 1
    silent, exact, other = bars_that_lead_to(walk_.modes[index][slot], counts, left)
    there = [bool(group) for group in places]
    copies = [exact and found for found in there] + 2 * [other and found for found in there]
    allowed = np.array([silent, other, *copies])
    if not allowed.any():  # the mode wants a repeat where there is nothing to repeat
        allowed[:2] = True
    answer, given_source = None, NO_SOURCE
    if walk_.given is not None:
        given_source = int(walk_.given.sources[bar, slot])
        answer = _symbol(int(walk_.given.states[bar, slot]), given_source, places)
    kinds = silent + 2 * exact + 4 * other
    contexts = _cell_contexts(walk_, index, place, order, counts, kinds)
    symbol = walk_.decider.choose("cell", contexts, allowed, answer)
    if symbol <= _NEW:
        return symbol, NO_SOURCE
    kind, group = divmod(symbol - 2, NUM_PLACES)
    found = places[group]
    if len(found) == 1:
        return _COPIES[kind], found[0]
    return _COPIES[kind], walk_.decider.pick(found, None if answer is None else given_source)


def _counts(walk_: _Walk, index: int, place: int, slot: int) -> Counts:
    """Bars of each kind in a section so far."""
    start = walk_.sections[index].start_bar
    kinds = [bar_kind(state) for state in walk_.states[slot][start : start + place]]
    return kinds.count(SILENT_BAR), kinds.count(EXACT_BAR), kinds.count(OTHER_BAR)


def _symbol(state: int, source: int, places: list[list[int]]) -> int:
    if state <= _NEW:
        return state
    group = next(i for i, found in enumerate(places) if source in found)
    return 2 + _COPIES.index(state) * NUM_PLACES + group


def _candidates(walk_: _Walk, index: int, place: int, order: int) -> list[list[int]]:
    """Bars that each place stands for: they come before, play, and stand in no place before."""
    slot, bar = SLOT_ORDER[order], walk_.sections[index].start_bar + place
    remaining = dict.fromkeys(walk_.played[slot])
    before = walk_.sources[slot][bar - 1] if bar else NO_SOURCE
    wanted = [
        [_matching_bar(walk_, index, walk_.section_sources[index], place)],
        [before + 1 if before != NO_SOURCE else NO_SOURCE],
        [walk_.sources[other][bar] for other in SLOT_ORDER[:order]],
        [_matching_bar(walk_, index, other, place) for other in walk_.earlier[index]],
        *([bar - lag] for lag in LAGS),
    ]
    places = []
    for bars in wanted:
        found = []
        for candidate in bars:
            if candidate in remaining:
                del remaining[candidate]
                found.append(candidate)
        places.append(found)
    places.append(list(remaining))
    return places


def _matching_bar(walk_: _Walk, index: int, source: int, place: int) -> int:
    if source == NO_SOURCE or place >= walk_.sections[source].num_bars or source >= index:
        return NO_SOURCE
    return walk_.sections[source].start_bar + place


def _cell_contexts(
    walk_: _Walk, index: int, place: int, order: int, counts: Counts, kinds: int
) -> Contexts:
    section, slot = walk_.sections[index], SLOT_ORDER[order]
    bar = section.start_bar + place
    match = _matching_bar(walk_, index, walk_.section_sources[index], place)
    matching = 0 if match == NO_SOURCE else 1 + int(walk_.states[slot][match] > 0)
    before = _summary(walk_, index, bar - 1, slot, match - 1) if place else _START
    others = [_summary(walk_, index, bar, other, match) for other in SLOT_ORDER[:order]]
    phrase = 2 if place < 4 else int(walk_.states[slot][bar - 4] > 0)
    position = place % 4 + 4 * min(place // 4, 2) + 12 * int(place == section.num_bars - 1)
    role = section_role(section.label)
    base = (slot, walk_.modes[index][slot], matching, kinds)
    seen = sum(2**kind for kind, count in enumerate(counts) if count)
    return (
        base[:2],
        base,
        (*base, before),
        (*base, before, seen, *others[-1:]),
        (*base, before, seen, *others, phrase),
        (*base, before, seen, *others, phrase, role, position),
    )


def _summary(walk_: _Walk, index: int, bar: int, slot: int, match: int) -> int:
    """What a decided cell does, for others to depend on: 0 to 6."""
    state, source = walk_.states[slot][bar], walk_.sources[slot][bar]
    if state <= _NEW:
        return state
    if state == _REPEATS:
        return 2 if source == match >= 0 else 3 + int(source >= walk_.sections[index].start_bar)
    return 5 + int(source != match)
