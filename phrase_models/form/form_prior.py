"""A prior of forms given a layout of sections, fitted by counting.

A song has one temperament throughout (how often each slot repeats exactly, how much the bridge
plays), drawn as the training songs have it. Given that, each section takes up one earlier section
of its label or none; each slot of it is silent, or repeats little or much, as a whole; and within
that the cells follow sticky chains that know the bar before, the other slots of the bar and what
the matching bar does (`form_decisions`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from phrase_models.errors import ConfigurationError
from phrase_models.form import form_decisions as decisions
from phrase_models.form.count_table import (
    LARGEST_COUNT,
    Contexts,
    CountsFile,
    CountTable,
    draw_index,
)
from phrase_models.form.form_decisions import BRIDGE, Temperament, walk
from phrase_models.form.section_modes import COPY_MODE, NUM_MODES
from phrase_models.form.song_form import CellState, SongForm, repeated_bars
from phrase_models.score.song import Section

_NUM_LEVELS = 3
_SIZES = {
    "source": (decisions.NUM_SOURCE_CHOICES, decisions.SOURCE_LEVELS, 1.0),
    "mode": (NUM_MODES, decisions.MODE_LEVELS, 1.5),
    "cell": (decisions.NUM_CELL_SYMBOLS, decisions.CELL_LEVELS, 4.0),
}
"""Symbols, levels and concentration of each table."""
_UNSEEN_TEMPERAMENT = 1.0
"""Songs' worth of temperaments that no training song has, all together."""

_CALIBRATION_ROUNDS, _CALIBRATION_SONGS = 3, 200

Layout = Sequence[Section]
FormExample = tuple[Layout, SongForm]
"""Sections contiguous from bar 0, and a form of as many bars and three slots."""


Bounds = tuple[float, float]
Level = Annotated[int, Field(ge=0, lt=_NUM_LEVELS)]
Songs = Annotated[int, Field(ge=1, le=int(LARGEST_COUNT))]
Odds = Annotated[float, Field(ge=1e-6, le=1e6)]


class FormTablesFile(BaseModel):
    """Counts of the decisions, by the names of `_SIZES`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: CountsFile
    mode: CountsFile
    cell: CountsFile


class FormsFile(BaseModel):
    """What `FormPrior.to_json` gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    exact_bounds: tuple[Bounds, Bounds, Bounds]
    bridge_bounds: Bounds
    whole_bounds: Bounds
    temperaments: list[tuple[Level, Level, Level, Level, Level, Songs]] = Field(min_length=1)
    tables: FormTablesFile
    copy_odds: tuple[Odds, Odds, Odds]


@dataclass(frozen=True, slots=True)
class FormPrior:
    """The fitted prior; immutable by convention, see `fit`.

    Attributes:
        exact_bounds: (3, 2), shares of exact repeats of a slot between the levels of temperament.
        bridge_bounds: (2,), the same for the share of bars in which the bridge plays.
        whole_bounds: (2,), the same for the share of bars that repeat one bar in all slots.
        temperaments: temperaments of the training songs with their number, in a fixed order.
        tables: counts of the decisions.
        copy_odds: (3,), factors of the odds that a slot copies a whole section. Contexts leave out
            some of what makes copies follow copies, so free draws copied less than the training
            songs; the factors make up for that (see `fit`).
    """

    exact_bounds: NDArray[np.float64]
    bridge_bounds: NDArray[np.float64]
    whole_bounds: NDArray[np.float64]
    temperaments: dict[Temperament, int]
    tables: dict[str, CountTable]
    copy_odds: NDArray[np.float64]

    @classmethod
    def fit(cls, songs: Sequence[FormExample]) -> "FormPrior":
        """Count the decisions of training songs, then let free draws copy as often as they do.

        Args:
            songs: layouts and forms.

        Raises:
            ConfigurationError: without songs, or where a layout and its form disagree.
        """
        if not songs:
            message = "A prior of forms needs at least one training song."
            raise ConfigurationError(message)
        measured = [_measure(layout, form) for layout, form in songs]
        exact, bridge, whole = (np.array(values) for values in zip(*measured, strict=True))
        tables = {name: CountTable(*size) for name, size in _SIZES.items()}
        prior = cls(
            _bounds(exact, _NUM_LEVELS),
            _bounds(bridge, _NUM_LEVELS),
            _bounds(whole, _NUM_LEVELS),
            {},
            tables,
            np.ones(len(decisions.SLOT_ORDER)),
        )
        counter = _Counter(tables)
        found = []
        for layout, form in songs:
            found.append(prior.temperament_of(layout, form))
            walk(layout, found[-1], counter, form)
        for temperament in sorted(found, key=_as_row):
            prior.temperaments[temperament] = prior.temperaments.get(temperament, 0) + 1
        examples = [
            (layout, temperament) for (layout, _), temperament in zip(songs, found, strict=True)
        ]
        wanted = _copy_odds(counter.num_copies, counter.num_modes)
        for round_ in range(_CALIBRATION_ROUNDS):
            prior = replace(prior, copy_odds=prior._calibrated(examples, wanted, round_))
        return prior

    def _calibrated(
        self,
        examples: Sequence[tuple[Layout, Temperament]],
        wanted: NDArray[np.float64],
        round_: int,
    ) -> NDArray[np.float64]:
        """Odds factors (3,) that bring draws for these songs nearer to the wanted odds (3,)."""
        drawer = _Drawer(self._weights, np.random.default_rng(round_))
        step = max(1, len(examples) // _CALIBRATION_SONGS)
        for layout, temperament in examples[round_ % step :: step]:
            walk(layout, temperament, drawer)
        ratio = wanted / _copy_odds(drawer.num_copies, drawer.num_modes)
        return self.copy_odds * np.clip(ratio, 0.5, 2.0)

    def _weights(
        self, table: str, contexts: Contexts, allowed: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Weights (K,) of the symbols of a decision."""
        weights = self.tables[table].probabilities(contexts) * allowed
        if table == "mode":
            weights[COPY_MODE] *= self.copy_odds[_slot_of(contexts)]
        return weights

    def temperament_of(self, layout: Layout, form: SongForm) -> Temperament:
        """The levels of a form."""
        exact, bridge, whole = _measure(layout, form)
        melody, bridge_exact, piano = (
            _level(share, bounds) for share, bounds in zip(exact, self.exact_bounds, strict=True)
        )
        return Temperament(
            (melody, bridge_exact, piano),
            _level(bridge, self.bridge_bounds),
            _level(whole, self.whole_bounds),
        )

    def sample(
        self, layout: Layout, rng: np.random.Generator, temperament: Temperament | None = None
    ) -> SongForm:
        """Draw a form.

        Args:
            layout: sections contiguous from bar 0, at least one.
            rng: where the draws come from.
            temperament: of the song; drawn as the training songs have it where not given.
        """
        if temperament is None:
            known = list(self.temperaments)
            counts = np.array([self.temperaments[t] for t in known], np.float64)
            temperament = known[draw_index(counts, rng)]
        return walk(layout, temperament, _Drawer(self._weights, rng))

    def log_likelihood(self, layout: Layout, form: SongForm) -> float:
        """Natural logarithm of the probability of a form together with its temperament.

        The decisions are those that the form shows by the rules of `form_decisions`, so this is a
        lower bound of the probability of the form itself.
        """
        temperament = self.temperament_of(layout, form)
        scorer = _Scorer(self._weights)
        walk(layout, temperament, scorer, form)
        return self._log_temperament(temperament) + scorer.total

    def _log_temperament(self, temperament: Temperament) -> float:
        total = sum(self.temperaments.values()) + _UNSEEN_TEMPERAMENT
        share = _UNSEEN_TEMPERAMENT / _NUM_LEVELS**5
        return math.log((self.temperaments.get(temperament, 0) + share) / total)

    def to_json(self) -> dict[str, Any]:
        """Values for `json.dump`."""
        return {
            "exact_bounds": self.exact_bounds.tolist(),
            "bridge_bounds": self.bridge_bounds.tolist(),
            "whole_bounds": self.whole_bounds.tolist(),
            "temperaments": [
                [*_as_row(temperament), count] for temperament, count in self.temperaments.items()
            ],
            "tables": {name: table.to_json() for name, table in self.tables.items()},
            "copy_odds": self.copy_odds.tolist(),
        }

    @classmethod
    def from_file(cls, values: FormsFile) -> "FormPrior":
        """The prior that `to_json` wrote; raises as `CountTable.filled`."""
        return cls(
            np.array(values.exact_bounds),
            np.array(values.bridge_bounds),
            np.array(values.whole_bounds),
            {Temperament((m, b, p), *rest): n for m, b, p, *rest, n in values.temperaments},
            {name: CountTable(*_SIZES[name]).filled(counts) for name, counts in values.tables},
            np.array(values.copy_odds),
        )


def _as_row(temperament: Temperament) -> tuple[int, ...]:
    return (*temperament.exact, temperament.bridge, temperament.whole)


def _bounds(shares: NDArray[np.float64], num_levels: int) -> NDArray[np.float64]:
    """Bounds (..., num_levels - 1) between levels with equally many songs (songs, ...)."""
    shares_below = np.arange(1, num_levels) / num_levels
    return np.moveaxis(np.quantile(shares, shares_below, axis=0), 0, -1)


def _level(share: float, bounds: NDArray[np.float64]) -> int:
    return int((share > bounds).sum())


def _measure(layout: Layout, form: SongForm) -> tuple[NDArray[np.float64], float, float]:
    """What a temperament is taken from.

    Exact repeats are counted only in sections that come again, or everywhere where there are none:
    so a temperament is the song's own and not its layout's.

    Returns:
        (3,) exact repeats among the bars in which each slot plays, the share of bars in which the
        bridge plays, and the share of bars that repeat one bar in all slots that play.
    """
    num_bars = sum(section.num_bars for section in layout)
    if num_bars != form.num_bars or form.num_slots != len(decisions.SLOT_ORDER):
        message = (
            f"The layout has {num_bars} bars, but its form has {form.num_bars} bars of "
            f"{form.num_slots} slots; they must agree, and there are three slots."
        )
        raise ConfigurationError(message)
    labels = [section.label for section in layout]
    again = np.concatenate(
        [
            np.full(section.num_bars, section.label in labels[:index])
            for index, section in enumerate(layout)
        ]
    )
    bars = again if again.any() else np.ones_like(again)
    states = form.states[bars]
    num_played = (states != CellState.SILENT).sum(axis=0)
    exact = (states == CellState.REPEATS).sum(axis=0) / np.maximum(num_played, 1)
    bridge = (form.states[:, BRIDGE] != CellState.SILENT).mean()
    return exact, float(bridge), float(repeated_bars(form)[bars].mean())


def _slot_of(contexts: Contexts) -> int:
    """Slot of a decision on a mode."""
    return contexts[0][0]


def _copy_odds(num_copies: NDArray[np.int64], num_modes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(3,) odds of copies, half a count added to either side."""
    return (num_copies + 0.5) / (num_modes - num_copies + 0.5)


Weights = Callable[[str, Contexts, NDArray[np.bool_]], NDArray[np.float64]]


class _ModeCounts:
    """Keeps count of the modes that were decided, and of the copies among them, by slot."""

    def __init__(self) -> None:
        self.num_modes, self.num_copies = (np.zeros(3, np.int64) for _ in range(2))

    def note(self, table: str, contexts: Contexts, symbol: int) -> None:
        if table == "mode":
            self.num_modes[_slot_of(contexts)] += 1
            self.num_copies[_slot_of(contexts)] += symbol == COPY_MODE


class _Counter(_ModeCounts):
    """Counts the decisions of a given form."""

    def __init__(self, tables: dict[str, CountTable]) -> None:
        super().__init__()
        self._tables = tables

    def choose(
        self,
        table: str,
        contexts: Contexts,
        allowed: NDArray[np.bool_],  # noqa: ARG002
        answer: int | None,
    ) -> int:
        symbol = _given(answer)
        self._tables[table].add(contexts, symbol)
        self.note(table, contexts, symbol)
        return symbol

    def pick(self, candidates: Sequence[int], answer: int | None) -> int:  # noqa: ARG002
        return _given(answer)


def _given(answer: int | None) -> int:
    if answer is None:
        message = "only the decisions of a given form can be counted or scored"
        raise ValueError(message)
    return answer


class _Scorer:
    """Adds up the log probabilities of the decisions of a given form."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.total = 0.0

    def choose(
        self, table: str, contexts: Contexts, allowed: NDArray[np.bool_], answer: int | None
    ) -> int:
        symbol, weights = _given(answer), self._weights(table, contexts, allowed)
        self.total += math.log(weights[symbol] / weights.sum())
        return symbol

    def pick(self, candidates: Sequence[int], answer: int | None) -> int:
        self.total -= math.log(len(candidates))
        return _given(answer)


class _Drawer(_ModeCounts):
    """Draws the decisions."""

    def __init__(self, weights: Weights, rng: np.random.Generator) -> None:
        super().__init__()
        self._weights, self._rng = weights, rng

    def choose(
        self,
        table: str,
        contexts: Contexts,
        allowed: NDArray[np.bool_],
        answer: int | None,  # noqa: ARG002
    ) -> int:
        symbol = draw_index(self._weights(table, contexts, allowed), self._rng)
        self.note(table, contexts, symbol)
        return symbol

    def pick(self, candidates: Sequence[int], answer: int | None) -> int:  # noqa: ARG002
        return candidates[int(self._rng.integers(len(candidates)))]
