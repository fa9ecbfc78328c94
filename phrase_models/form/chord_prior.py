"""A prior of chords given a layout and a form: a chain over half bars that often copies.

Each half bar is either fresh, by a Markov chain of order three with a start of its own for each
section role, or takes the chord of another place: the source of the piano's repeat, the matching
bar of the section before of the same label, or 8, 4 or 2 bars before. Which of these is a hidden
chain that tends to stay; the likelihood sums over it.

A chord is an integer: 0 for none, else 1 + 4 * root + quality (major, minor, diminished, other).
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from phrase_models.errors import ConfigurationError
from phrase_models.form.count_table import Contexts, CountsFile, CountTable, draw_index
from phrase_models.form.form_decisions import BRIDGE, PIANO, section_role
from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm
from phrase_models.score.song import Section

NUM_CHORDS = 49
HALVES = 2
"""Chords a bar, on beats 1 and 3."""
FORM, MATCH, EIGHT, FOUR, TWO, FRESH = range(6)
"""Where a chord comes from."""
NUM_ORIGINS = 6
_LAGS = {EIGHT: 8, FOUR: 4, TWO: 2}
_SHORTEST_RUN = 2
"""Half bars that a new origin must explain to be counted; one alone may be chance."""
_ORIGIN_START, _CHORD_START = NUM_ORIGINS, NUM_CHORDS
HarmonyRules = Sequence[tuple[int, Collection[int]]]
"""Slots, and the states in which one brings the chords of its source with it; the first decides."""
_SAME = (CellState.REPEATS, CellState.VARIES_NOTES)
_HARMONY: HarmonyRules = ((PIANO, _SAME), (BRIDGE, _SAME))

Layout = Sequence[Section]
ChordExample = tuple[Layout, SongForm, NDArray[np.int64]]
"""Sections, form of N bars, chords (N, 2)."""


class ChordsFile(BaseModel):
    """What `ChordPrior.to_json` gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origins: CountsFile
    fresh: CountsFile


class ChordPrior:
    """Draws and scores chords; see the module."""

    def __init__(self, origins: CountTable | None = None, fresh: CountTable | None = None) -> None:
        """With tables that were fitted, or empty ones."""
        self._origins = origins or CountTable(NUM_ORIGINS, 3, concentration=2.0)
        self._fresh = fresh or CountTable(NUM_CHORDS, 4)

    @classmethod
    def fit(cls, songs: Sequence[ChordExample]) -> "ChordPrior":
        """Count origins and fresh chords of training songs.

        A chord is counted for the origin of the one before where that explains it, else for the one
        that explains most half bars from here on, if it explains two at least; else it is fresh.

        Raises:
            ConfigurationError: without songs, or for chords that do not fit their song.
        """
        if not songs:
            message = "A prior of chords needs at least one training song."
            raise ConfigurationError(message)
        prior = cls()
        for layout, form, chords in songs:
            flat = _flat(chords, form)
            previous = _ORIGIN_START
            steps = _steps(layout, form)
            for step in steps:
                origin = _origin(steps, step.index, previous, flat)
                prior._origins.add(step.origin_contexts(previous), origin)
                if origin == FRESH:
                    prior._fresh.add(step.chord_contexts(flat), int(flat[step.index]))
                previous = origin
        return prior

    def sample(self, layout: Layout, form: SongForm, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw chords (N, 2); bars whose piano (else bridge) repeats have those of their source."""
        flat = np.zeros(HALVES * form.num_bars, np.int64)
        previous = _ORIGIN_START
        for step in _steps(layout, form):
            if FORM in step.places:
                previous = FORM
            else:
                previous = draw_index(self._origin_probabilities(step, previous), rng)
            if previous == FRESH:
                chords = self._fresh.probabilities(step.chord_contexts(flat))
                flat[step.index] = draw_index(chords, rng)
            else:
                flat[step.index] = flat[step.places[previous]]
        return flat.reshape(-1, HALVES)

    def log_likelihood(self, layout: Layout, form: SongForm, chords: ArrayLike) -> float:
        """Natural logarithm of the probability of chords (N, 2), summed over all origins."""
        flat = _flat(chords, form)
        total, reached = 0.0, {_ORIGIN_START: 1.0}
        for step in _steps(layout, form):
            fresh = self._fresh.probabilities(step.chord_contexts(flat))[flat[step.index]]
            emitted = np.zeros(NUM_ORIGINS)
            emitted[_explaining(step, flat)] = 1.0
            emitted[FRESH] = fresh
            weights = sum(
                weight * self._origin_probabilities(step, previous) * emitted
                for previous, weight in reached.items()
            )
            share = float(np.sum(weights))
            total += math.log(share)
            reached = {
                origin: float(weight) / share
                for origin, weight in enumerate(np.asarray(weights))
                if weight > 0.0
            }
        return total

    def _origin_probabilities(self, step: "_Step", previous: int) -> NDArray[np.float64]:
        """(NUM_ORIGINS,) over the origins that there are."""
        weights = self._origins.probabilities(step.origin_contexts(previous))
        there = np.zeros(NUM_ORIGINS, np.bool_)
        there[[*step.places, FRESH]] = True
        return weights * there / weights[there].sum()

    def to_json(self) -> dict[str, Any]:
        """Values for `json.dump`."""
        return {"origins": self._origins.to_json(), "fresh": self._fresh.to_json()}

    @classmethod
    def from_file(cls, values: ChordsFile) -> "ChordPrior":
        """The prior that `to_json` wrote; raises as `CountTable.filled`."""
        prior = cls()
        prior._origins.filled(values.origins)
        prior._fresh.filled(values.fresh)
        return prior


class _Step:
    """One half bar: its index, its role, and the earlier half bar of each origin there is."""

    def __init__(self, index: int, role: int, place: int, places: dict[int, int]) -> None:
        self.index = index
        self.places = places
        self._role = role
        self._place = place  # half bars from the start of the section

    def origin_contexts(self, previous: int) -> Contexts:
        there = sum(2**origin for origin in self.places)
        position = self._place % 8 if self._place else 8
        return (previous,), (previous, there), (previous, there, position)

    def chord_contexts(self, flat: NDArray[np.int64]) -> Contexts:
        before = [int(chord) for chord in flat[max(self.index - 3, 0) : self.index]][::-1]
        before += [_CHORD_START] * (3 - len(before))
        start = self._role if not self._place else 6 + self._place % HALVES
        return tuple((start, *before[:order]) for order in range(4))


def _steps(layout: Layout, form: SongForm) -> list[_Step]:
    """Every half bar of a song in order."""
    num_bars = sum(section.num_bars for section in layout)
    if num_bars != form.num_bars:
        message = f"The layout has {num_bars} bars, but its form has {form.num_bars}."
        raise ConfigurationError(message)
    steps = []
    latest: dict[str, Section] = {}
    for section in layout:
        match = latest.get(section.label)
        for place in range(HALVES * section.num_bars):
            index = HALVES * section.start_bar + place
            places = {}
            source = harmony_source(form, index // HALVES, _HARMONY)
            if source != NO_SOURCE:
                places[FORM] = HALVES * source + index % HALVES
            if match is not None and place < HALVES * match.num_bars:
                places[MATCH] = HALVES * match.start_bar + place
            for origin, lag in _LAGS.items():
                if index >= HALVES * lag:
                    places[origin] = index - HALVES * lag
            steps.append(_Step(index, section_role(section.label), place, places))
        latest[section.label] = section
    return steps


def harmony_source(form: SongForm, bar: int, rules: HarmonyRules) -> int:
    """The bar whose chords a bar has by its form, or NO_SOURCE."""
    for slot, states in rules:
        if form.states[bar, slot] in states:
            return int(form.sources[bar, slot])
    return NO_SOURCE


def _explaining(step: _Step, flat: NDArray[np.int64]) -> list[int]:
    """Origins that give the chord that stands at a step, FRESH last."""
    chord = flat[step.index]
    return [o for o in sorted(step.places) if flat[step.places[o]] == chord] + [FRESH]


def _origin(steps: list[_Step], index: int, previous: int, flat: NDArray[np.int64]) -> int:
    """The origin that a chord is counted for."""
    possible = _explaining(steps[index], flat)
    if previous in possible and previous != FRESH:
        return previous
    runs = {origin: _run(steps, index, origin, flat) for origin in possible if origin != FRESH}
    best = max(runs, key=lambda origin: runs[origin], default=FRESH)
    return best if runs.get(best, 0) >= _SHORTEST_RUN else FRESH


def _run(steps: list[_Step], index: int, origin: int, flat: NDArray[np.int64]) -> int:
    """Half bars in a row, from one on, that an origin explains."""
    length = 0
    for step in steps[index:]:
        if origin not in step.places or flat[step.places[origin]] != flat[step.index]:
            break
        length += 1
    return length


def _flat(chords: ArrayLike, form: SongForm) -> NDArray[np.int64]:
    array = np.asarray(chords, np.int64)
    if array.shape != (form.num_bars, HALVES) or (array < 0).any() or (array >= NUM_CHORDS).any():
        message = (
            f"Chords of a song of {form.num_bars} bars are ids 0 to {NUM_CHORDS - 1} of shape "
            f"({form.num_bars}, {HALVES}), not an array of shape {array.shape}."
        )
        raise ConfigurationError(message)
    return array.ravel()
