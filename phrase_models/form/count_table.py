"""Distributions over a few symbols given contexts, from counts that back off."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Context = tuple[int, ...]
Contexts = Sequence[Context]
"""Contexts of one decision, from the most general to the most special."""


class CountTable:
    """Counts of symbols at several levels of contexts.

    The distribution of a level is that of its counts, drawn towards the level before it, and that
    of the first towards the uniform one (hierarchical Dirichlet means)::

        p_k = (n_k + concentration * p_(k-1)) / (sum(n_k) + concentration)

    so a special context decides where it has been seen often.
    """

    def __init__(self, num_symbols: int, num_levels: int, concentration: float = 4.0) -> None:
        """An empty table: every distribution is uniform.

        Args:
            num_symbols: K.
            num_levels: contexts of each decision.
            concentration: symbols' worth of the level before in the mean of a level.
        """
        self.num_symbols = num_symbols
        self.concentration = concentration
        self._levels: list[dict[Context, NDArray[np.float64]]] = [{} for _ in range(num_levels)]

    def add(self, contexts: Contexts, symbol: int, weight: float = 1.0) -> None:
        """Count a symbol that was seen in these contexts."""
        for level, context in zip(self._levels, contexts, strict=True):
            counts = level.get(context)
            if counts is None:
                counts = level[context] = np.zeros(self.num_symbols)
            counts[symbol] += weight

    def probabilities(self, contexts: Contexts) -> NDArray[np.float64]:
        """The distribution (K,) in these contexts; sums to one, nowhere zero."""
        mean = np.full(self.num_symbols, 1.0 / self.num_symbols)
        for level, context in zip(self._levels, contexts, strict=True):
            counts = level.get(context)
            if counts is not None:
                mean = (counts + self.concentration * mean) / (counts.sum() + self.concentration)
        return mean

    def emptied(self) -> "CountTable":
        """A table of this shape without counts: every distribution is uniform."""
        return CountTable(self.num_symbols, len(self._levels), self.concentration)

    def to_json(self) -> dict[str, Any]:
        """Sparse counts: contexts and symbols in order, so equal tables give equal text."""
        levels = []
        for level in self._levels:
            rows = {}
            for context in sorted(level):
                seen = np.flatnonzero(level[context])
                counts = [[int(s), _short(level[context][s])] for s in seen]
                rows[" ".join(map(str, context))] = counts
            levels.append(rows)
        return {
            "num_symbols": self.num_symbols,
            "concentration": self.concentration,
            "levels": levels,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "CountTable":
        """The table that `to_json` wrote."""
        levels = values["levels"]
        table = cls(values["num_symbols"], len(levels), values["concentration"])
        for level, rows in zip(table._levels, levels, strict=True):
            for name, seen in rows.items():
                counts = level[tuple(map(int, name.split()))] = np.zeros(table.num_symbols)
                for symbol, count in seen:
                    counts[symbol] = count
        return table


def _short(count: float) -> float | int:
    """A count as it is read back, whole numbers without a point."""
    return int(count) if count == int(count) else float(count)


def draw_index(probabilities: NDArray[np.float64], rng: np.random.Generator) -> int:
    """One index by its weight; the weights (K,) need not sum to one."""
    bounds = np.cumsum(probabilities)
    return int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))


def index_of(values: Sequence[Hashable], value: Hashable) -> int:
    """Place of a value in a fixed list, the length of the list for any other."""
    return values.index(value) if value in values else len(values)
