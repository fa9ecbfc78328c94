"""A prior of forms given a layout of sections, fitted by counting.

A song has one temperament throughout (how often each slot repeats exactly, how much the bridge
plays), drawn as the training songs have it. Given that, each section takes up one earlier section
of its label or none; each slot of it is silent, or repeats little or much, as a whole; and within
that the cells follow sticky chains that know the bar before, the other slots of the bar and what
the matching bar does (`form_decisions`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.form import form_decisions as decisions
from phrase_models.form.count_table import Contexts, CountTable, draw_index
from phrase_models.form.form_decisions import BRIDGE, Temperament, walk
from phrase_models.form.section_modes import NUM_MODES
from phrase_models.form.song_form import CellState, SongForm
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

Layout = Sequence[Section]
FormExample = tuple[Layout, SongForm]
"""Sections contiguous from bar 0, and a form of as many bars and three slots."""


@dataclass(frozen=True, slots=True)
class FormPrior:
    """The fitted prior; immutable by convention, see `fit`.

    Attributes:
        exact_bounds: (3, 2), shares of exact repeats of a slot between the levels of temperament.
        bridge_bounds: (2,), the same for the share of bars in which the bridge plays.
        whole_bounds: (2,), the same for the share of bars that repeat one bar in all slots.
        temperaments: temperaments of the training songs with their number, in a fixed order.
        tables: counts of the decisions.
    """

    exact_bounds: NDArray[np.float64]
    bridge_bounds: NDArray[np.float64]
    whole_bounds: NDArray[np.float64]
    temperaments: dict[Temperament, int]
    tables: dict[str, CountTable]

    @classmethod
    def fit(cls, songs: Sequence[FormExample]) -> "FormPrior":
        """Count the decisions of training songs.

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
        )
        counter = _Counter(tables)
        found = []
        for layout, form in songs:
            found.append(prior.temperament_of(layout, form))
            walk(layout, found[-1], counter, form)
        for temperament in sorted(found, key=_as_row):
            prior.temperaments[temperament] = prior.temperaments.get(temperament, 0) + 1
        return prior

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
        return walk(layout, temperament, _Drawer(self.tables, rng))

    def log_likelihood(self, layout: Layout, form: SongForm) -> float:
        """Natural logarithm of the probability of a form together with its temperament.

        The decisions are those that the form shows by the rules of `form_decisions`, so this is a
        lower bound of the probability of the form itself.
        """
        temperament = self.temperament_of(layout, form)
        scorer = _Scorer(self.tables)
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
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "FormPrior":
        """The prior that `to_json` wrote."""
        return cls(
            np.array(values["exact_bounds"]),
            np.array(values["bridge_bounds"]),
            np.array(values["whole_bounds"]),
            {Temperament((m, b, p), *rest): n for m, b, p, *rest, n in values["temperaments"]},
            {name: CountTable.from_json(table) for name, table in values["tables"].items()},
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
    states, sources = form.states[bars], form.sources[bars]
    plays, repeats = states != CellState.SILENT, states == CellState.REPEATS
    exact = repeats.sum(axis=0) / np.maximum(plays.sum(axis=0), 1)
    latest = sources.max(axis=1, initial=-1)
    whole = plays.any(axis=1) & (~plays | (repeats & (sources == latest[:, None]))).all(axis=1)
    bridge = (form.states[:, BRIDGE] != CellState.SILENT).mean()
    return exact, float(bridge), float(whole.mean())


class _Counter:
    """Counts the decisions of a given form."""

    def __init__(self, tables: dict[str, CountTable]) -> None:
        self._tables = tables

    def choose(
        self,
        table: str,
        contexts: Contexts,
        allowed: NDArray[np.bool_],  # noqa: ARG002
        answer: int | None,
    ) -> int:
        if answer is None:
            raise ValueError(_NOT_GIVEN)
        self._tables[table].add(contexts, answer)
        return answer

    def pick(self, candidates: Sequence[int], answer: int | None) -> int:  # noqa: ARG002
        if answer is None:
            raise ValueError(_NOT_GIVEN)
        return answer


_NOT_GIVEN = "only the decisions of a given form can be counted or scored"


class _Scorer:
    """Adds up the log probabilities of the decisions of a given form."""

    def __init__(self, tables: dict[str, CountTable]) -> None:
        self._tables = tables
        self.total = 0.0

    def choose(
        self, table: str, contexts: Contexts, allowed: NDArray[np.bool_], answer: int | None
    ) -> int:
        if answer is None:
            raise ValueError(_NOT_GIVEN)
        weights = self._tables[table].probabilities(contexts) * allowed
        self.total += math.log(weights[answer] / weights.sum())
        return answer

    def pick(self, candidates: Sequence[int], answer: int | None) -> int:
        if answer is None:
            raise ValueError(_NOT_GIVEN)
        self.total -= math.log(len(candidates))
        return answer


class _Drawer:
    """Draws the decisions."""

    def __init__(self, tables: dict[str, CountTable], rng: np.random.Generator) -> None:
        self._tables, self._rng = tables, rng

    def choose(
        self,
        table: str,
        contexts: Contexts,
        allowed: NDArray[np.bool_],
        answer: int | None,  # noqa: ARG002
    ) -> int:
        return draw_index(self._tables[table].probabilities(contexts) * allowed, self._rng)

    def pick(self, candidates: Sequence[int], answer: int | None) -> int:  # noqa: ARG002
        return candidates[int(self._rng.integers(len(candidates)))]
