"""Distributions over a few symbols given contexts, from counts that back off."""

from collections.abc import Hashable, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from phrase_models.errors import ConfigurationError

LARGEST_COUNT = 1e9
Context = tuple[int, ...]
Contexts = Sequence[Context]
"""Contexts of one decision, from the most general to the most special."""
ContextName = Annotated[str, Field(pattern=r"^(-?\d{1,6}( -?\d{1,6}){0,15})?$")]
Count = Annotated[float, Field(ge=0, le=LARGEST_COUNT)]


class CountsFile(BaseModel):
    """What `CountTable.to_json` gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    num_symbols: int = Field(ge=1, le=256)
    concentration: float = Field(gt=0)
    levels: list[dict[ContextName, list[tuple[int, Count]]]] = Field(max_length=16)

    @model_validator(mode="after")
    def _check(self) -> Self:
        symbols = {seen[0] for level in self.levels for row in level.values() for seen in row}
        if symbols and not 0 <= min(symbols) <= max(symbols) < self.num_symbols:
            message = f"a symbol is not from 0 to {self.num_symbols - 1}"
            raise ValueError(message)
        return self


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

    def filled(self, values: CountsFile) -> Self:
        """This table, which is empty, with the counts that `to_json` wrote.

        Raises:
            ConfigurationError: if they are of a table of another shape.
        """
        found = values.num_symbols, len(values.levels), values.concentration
        wanted = self.num_symbols, len(self._levels), self.concentration
        if found != wanted:
            message = (
                f"a table has {found[0]} symbols, {found[1]} levels and concentration {found[2]}, "
                f"not {wanted[0]}, {wanted[1]} and {wanted[2]}"
            )
            raise ConfigurationError(message)
        for level, rows in zip(self._levels, values.levels, strict=True):
            for name, seen in rows.items():
                counts = level[tuple(map(int, name.split()))] = np.zeros(self.num_symbols)
                for symbol, count in seen:
                    counts[symbol] = count
        return self


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
