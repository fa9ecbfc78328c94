"""A prior of section layouts such as "i4 A8 A8 B8 x4 A8 B8 o4", fitted by counting.

Sections are drawn in turn: the kind given the two before, the sung letters so far and the bars so
far; then the length given the kind, the last section of that kind and the section before. Sung
letters are known by their order of appearance, so the first sung section drawn is always A.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from phrase_models.errors import ConfigurationError
from phrase_models.form.count_table import Context, Contexts, CountsFile, CountTable, draw_index
from phrase_models.score.song import MAX_BARS, Section

UNSUNG = ("i", "o", "x", "b", "X")
"""Labels with a role of their own; other lower-case labels count as x."""
MAX_LETTERS = 8
END = len(UNSUNG) + MAX_LETTERS
NUM_KINDS = END + 1
MAX_SECTION_BARS = 32
_START = NUM_KINDS
_NUM_DRAWS = 64
"""Layouts drawn to choose one from where a length is given."""
_MOST_DRAWS, _MOST_SECTIONS = 100, 1000
_ENDLESS = "The priors draw layouts without an end; fit them, or copy them, again."
_KIND_LEVELS, _LENGTH_LEVELS = 4, 3

Layout = Sequence[Section]


class LayoutsFile(BaseModel):
    """What `LayoutPrior.to_json` gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: CountsFile
    lengths: CountsFile


class LayoutPrior:
    """Draws and scores layouts; see the module."""

    def __init__(self, kinds: CountTable | None = None, lengths: CountTable | None = None) -> None:
        """With tables that were fitted, or empty ones."""
        self._kinds = kinds or CountTable(NUM_KINDS, _KIND_LEVELS)
        self._lengths = lengths or CountTable(MAX_SECTION_BARS, _LENGTH_LEVELS)

    @classmethod
    def fit(cls, layouts: Sequence[Layout]) -> "LayoutPrior":
        """Count the sections of training songs.

        Raises:
            ConfigurationError: without layouts, or for one without sections.
        """
        if not layouts:
            message = "A prior of layouts needs at least one training song."
            raise ConfigurationError(message)
        prior = cls()
        for layout in layouts:
            so_far = _SoFar()
            for kind, length in _encode(layout):
                prior._kinds.add(so_far.kind_contexts(), kind)
                prior._lengths.add(so_far.length_contexts(kind), length - 1)
                so_far.add(kind, length)
            prior._kinds.add(so_far.kind_contexts(), END)
        return prior

    def log_likelihood(self, layout: Layout) -> float:
        """Natural logarithm of the probability of a layout, its letters by order of appearance.

        Sections longer than 32 bars count as of 32.
        """
        total, so_far = 0.0, _SoFar()
        for kind, length in _encode(layout):
            total += math.log(_normalised(self._kind_weights(so_far))[kind])
            total += math.log(self._lengths.probabilities(so_far.length_contexts(kind))[length - 1])
            so_far.add(kind, length)
        return total + math.log(_normalised(self._kind_weights(so_far))[END])

    def sample(self, rng: np.random.Generator, num_bars: int | None = None) -> tuple[Section, ...]:
        """Draw a layout.

        Args:
            rng: where the draws come from.
            num_bars: exact length, or None for any up to MAX_BARS (longer ones are drawn
                again). Layouts of a given length are drawn with what
                would miss it ruled out, and one of them is chosen by how much was ruled out on its
                way (importance resampling), so that songs still close as songs do.

        Raises:
            ConfigurationError: for a length below 1, or if the layouts drawn never end.
        """
        if num_bars is None:
            for _ in range(_MOST_DRAWS):
                sections = _decode(self._draw(rng, None)[0])
                if sections[-1].start_bar + sections[-1].num_bars <= MAX_BARS:
                    return sections
            raise ConfigurationError(_ENDLESS)
        if num_bars < 1:
            message = f"A layout of {num_bars} bars was asked for; ask for at least 1."
            raise ConfigurationError(message)
        draws = [self._draw(rng, num_bars) for _ in range(_NUM_DRAWS)]
        weights = np.array([weight for _, weight in draws])
        chosen = draw_index(np.exp(weights - weights.max()), rng)
        return _decode(draws[chosen][0])

    def _draw(
        self, rng: np.random.Generator, num_bars: int | None
    ) -> tuple[list[tuple[int, int]], float]:
        """Kinds and lengths, and the logarithm of the probability that was not ruled out."""
        so_far, weight = _SoFar(), 0.0
        while True:
            kinds = _normalised(self._kind_weights(so_far))
            if num_bars is not None:
                possible = np.full(NUM_KINDS, so_far.num_bars < num_bars)
                possible[END] = so_far.num_bars == num_bars
                kinds = kinds * possible
                weight += math.log(kinds.sum())
            kind = draw_index(kinds, rng)
            if len(so_far.sections) == _MOST_SECTIONS:
                raise ConfigurationError(_ENDLESS)
            if kind == END:
                return so_far.sections, weight
            lengths = self._lengths.probabilities(so_far.length_contexts(kind))
            if num_bars is not None:
                lengths[num_bars - so_far.num_bars :] = 0.0
                weight += math.log(lengths.sum())
            so_far.add(kind, 1 + draw_index(lengths, rng))

    def _kind_weights(self, so_far: "_SoFar") -> NDArray[np.float64]:
        """(NUM_KINDS,) weights of what may come: no letter is skipped, no layout is empty."""
        weights = self._kinds.probabilities(so_far.kind_contexts())
        weights[len(UNSUNG) + so_far.num_letters + 1 : END] = 0.0
        if not so_far.sections:
            weights[END] = 0.0
        return weights

    def to_json(self) -> dict[str, Any]:
        """Values for `json.dump`."""
        return {"kinds": self._kinds.to_json(), "lengths": self._lengths.to_json()}

    @classmethod
    def from_file(cls, values: LayoutsFile) -> "LayoutPrior":
        """The prior that `to_json` wrote; raises as `CountTable.filled`."""
        prior = cls()
        prior._kinds.filled(values.kinds)
        prior._lengths.filled(values.lengths)
        return prior


class _SoFar:
    """A layout up to a section, and the contexts of what comes."""

    def __init__(self) -> None:
        self.sections: list[tuple[int, int]] = []
        self.num_bars = 0
        self.num_letters = 0
        self._lengths: dict[int, int] = {}

    def add(self, kind: int, length: int) -> None:
        self.sections.append((kind, length))
        self.num_bars += length
        self.num_letters = max(self.num_letters, kind - len(UNSUNG) + 1)
        self._lengths[kind] = length

    def kind_contexts(self) -> Contexts:
        before, earlier = ([_START, _START] + [kind for kind, _ in self.sections])[:-3:-1]
        base: Context = (before, self.num_bars // 24)
        return (
            (before,),
            base,
            (*base, earlier),
            (*base, earlier, self.num_letters, self.num_bars // 8),
        )

    def length_contexts(self, kind: int) -> Contexts:
        known = self._lengths.get(kind, 0)
        before = self.sections[-1][1] if self.sections else 0
        role = min(kind, len(UNSUNG))
        return (role,), (role, known), (role, known, before)


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights / weights.sum()


def kinds_of(layout: Layout) -> list[int]:
    """Kind of each section: its place in UNSUNG, or after these the order of its sung letter."""
    letters: dict[str, int] = {}
    kinds = []
    for section in layout:
        if section.label in UNSUNG:
            kinds.append(UNSUNG.index(section.label))
        elif section.label.isupper():
            order = letters.setdefault(section.label, len(letters))
            kinds.append(len(UNSUNG) + min(order, MAX_LETTERS - 1))
        else:
            kinds.append(UNSUNG.index("x"))
    return kinds


def _encode(layout: Layout) -> list[tuple[int, int]]:
    if not layout:
        message = "A layout without sections has no probability; take songs with sections."
        raise ConfigurationError(message)
    lengths = [min(section.num_bars, MAX_SECTION_BARS) for section in layout]
    return list(zip(kinds_of(layout), lengths, strict=True))


def _decode(sections: Sequence[tuple[int, int]]) -> tuple[Section, ...]:
    result, start = [], 0
    for kind, length in sections:
        label = UNSUNG[kind] if kind < len(UNSUNG) else chr(ord("A") + kind - len(UNSUNG))
        result.append(Section(label, start, length))
        start += length
    return tuple(result)
