"""The form of a song: what every instrument does in every bar, and which earlier bar it takes up.

A cell is one instrument (slot) in one bar. It is silent, new, or takes up an earlier bar of the
same slot, its source: token for token, or varied.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.score.song import ROLE_NAMES, ROLE_PROGRAMS

SLOT_NAMES = tuple(ROLE_NAMES[program].lower() for program in ROLE_PROGRAMS)
"""Names of the slots of the `role` layout: melody, bridge, piano."""
NO_SOURCE = -1


class CellState(IntEnum):
    """What one slot of one bar does."""

    SILENT = 0
    NEW = 1
    REPEATS = 2
    """Equal to its source, token for token."""
    VARIES_NOTES = 3
    """Onsets and pitches of its source, other durations."""
    VARIES_RHYTHM = 4
    """The set of onsets of its source, other pitches."""


RELATION_KINDS = ("exact", "notes", "rhythm")
"""Kinds of likeness through the form, each implied by the one before it."""
_STATES_OF_KIND = (
    (CellState.REPEATS,),
    (CellState.REPEATS, CellState.VARIES_NOTES),
    (CellState.REPEATS, CellState.VARIES_NOTES, CellState.VARIES_RHYTHM),
)
_NUM_STATES = len(CellState)
_VERBS = {2: "repeats", 3: "varies", 4: "varies"}
"""By the number of the state, for looking up members of an enumeration is slow."""


def slot_name(slot: int) -> str:
    """Name of a slot for messages."""
    return SLOT_NAMES[slot] if slot < len(SLOT_NAMES) else f"slot {slot + 1}"


@dataclass(frozen=True, slots=True, eq=False)
class SongForm:
    """The form of a song of N bars and S slots; both arrays are read-only copies.

    Attributes:
        states: (N, S) int8, the CellState of each cell.
        sources: (N, S), index of the earlier bar that a cell repeats or varies; NO_SOURCE for cells
            that are silent or new. A source may itself take up an earlier bar.

    Raises:
        ConfigurationError: where the arrays contradict each other or themselves.
    """

    states: NDArray[np.int8]
    sources: NDArray[np.int64]

    def __post_init__(self) -> None:
        states, sources = np.asarray(self.states), np.asarray(self.sources)
        if states.ndim != 2 or states.shape != sources.shape or 0 in states.shape:
            message = (
                f"A form needs states and sources of one shape (bars, slots), at least one each, "
                f"not {states.shape} and {sources.shape}."
            )
            raise ConfigurationError(message)
        fault = first_fault(states, sources)
        if fault is not None:
            raise ConfigurationError(f"The form cannot be met: {fault.complaint}.")
        for name, array in (("states", states.astype(np.int8)), ("sources", sources.astype("i8"))):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def num_bars(self) -> int:
        """N."""
        return self.states.shape[0]

    @property
    def num_slots(self) -> int:
        """S."""
        return self.states.shape[1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SongForm):
            return NotImplemented
        return np.array_equal(self.states, other.states) and np.array_equal(
            self.sources, other.sources
        )

    def __hash__(self) -> int:
        return hash((self.states.shape, self.states.tobytes(), self.sources.tobytes()))


@dataclass(frozen=True, slots=True)
class FormFault:
    """A cell that contradicts the rest of a form; `complaint` names bar (from 1) and slot."""

    bar: int
    slot: int
    complaint: str


def first_fault(states: ArrayLike, sources: ArrayLike) -> FormFault | None:
    """The first faulty cell, by bar and then slot, of arrays (N, S); None for a sound form."""
    states, sources = np.asarray(states), np.asarray(sources)
    for bar, slot in np.ndindex(states.shape):
        complaint = _complaint(states, sources, bar, slot)
        if complaint:
            return FormFault(bar, slot, f"bar {bar + 1} of the {slot_name(slot)} {complaint}")
    return None


def _complaint(states: NDArray[Any], sources: NDArray[Any], bar: int, slot: int) -> str:
    state, source = int(states[bar, slot]), int(sources[bar, slot])
    if not 0 <= state < _NUM_STATES:
        return f"has the state {state}, which there is not"
    verb = _VERBS.get(state)
    if verb is not None:
        return _source_complaint(states, source, bar, slot, verb)
    if source != NO_SOURCE:
        return f"is {CellState(state).name.lower()} and yet names bar {source + 1} as its source"
    return ""


def _source_complaint(states: NDArray[Any], source: int, bar: int, slot: int, verb: str) -> str:
    if not 0 <= source < len(states):
        return f"{verb} an earlier bar but does not say which"
    if source >= bar:
        return f"{verb} bar {source + 1}, which does not come before it"
    if states[source, slot] == 0:
        return f"{verb} bar {source + 1}, where it is silent"
    return ""


def roots(form: SongForm) -> NDArray[np.int64]:
    """The bar in which each cell's phrase is heard first, token for token.

    Returns:
        (N, S): REPEATS followed through chains to the first copy; the cell's own bar for all other
        states, silent ones too.
    """
    return _class_roots(form, _STATES_OF_KIND[0])


def _class_roots(form: SongForm, states: tuple[CellState, ...]) -> NDArray[np.int64]:
    """(N, S): first bar of the class of each cell, where these states tie a cell to its source."""
    first = np.repeat(np.arange(form.num_bars)[:, None], form.num_slots, axis=1)
    slots = np.arange(form.num_slots)
    tied = np.isin(form.states, states)
    for bar in range(form.num_bars):
        inherited = first[np.maximum(form.sources[bar], 0), slots]
        first[bar] = np.where(tied[bar], inherited, bar)
    return first


def relations(form: SongForm) -> NDArray[np.bool_]:
    """Which bars of a slot are alike through the form.

    Returns:
        (3, S, N, N) bool, RELATION_KINDS in order: True at (i, j), i != j, where the form ties both
        cells to one class. Symmetric and transitive; exact implies notes implies rhythm. Silent
        cells are like nothing.
    """
    plays = (form.states != CellState.SILENT).T
    both = plays[:, :, None] & plays[:, None, :] & ~np.eye(form.num_bars, dtype=np.bool_)
    kinds = []
    for states in _STATES_OF_KIND:
        first = _class_roots(form, states).T
        kinds.append(both & (first[:, :, None] == first[:, None, :]))
    return np.stack(kinds)


def repeated_bars(form: SongForm) -> NDArray[np.bool_]:
    """(N,): bars of which some slot plays, and all that do repeat one and the same bar."""
    plays, repeats = form.states != CellState.SILENT, form.states == CellState.REPEATS
    same = form.sources == form.sources.max(axis=1)[:, None]
    return plays.any(axis=1) & (~plays | (repeats & same)).all(axis=1)
