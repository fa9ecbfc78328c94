"""A prior of section layouts such as "i4 A8 A8 B8 x4 A8 B8 o4", fitted by counting.

Sections are drawn in turn. Verse and chorus come again as a sequence: first it is decided whether
the next section follows, which is to be what came after the earlier section that is most like this
one with those before it, in kind and length. Else the kind is drawn given the two before, the sung
letters so far and the bars so far; then the length given the kind, the last section of that kind
and the section before. Sung letters are known by their order of appearance, so the first sung
section drawn is always A.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
_KIND_LEVELS, _LENGTH_LEVELS, _FOLLOW_LEVELS = 4, 3, 3
_LONGEST_MATCH = 3
"""Sections up to which it counts how many in a row are as they were before."""
_CONCENTRATION, _OLDER_CONCENTRATION = 6.0, 4.0
"""Of the tables, and of those of files without the decision to follow."""

Layout = Sequence[Section]
Kinds = list[tuple[int, int]]
"""Kind and length of each section."""


class LayoutsFile(BaseModel):
    """What `LayoutPrior.to_json` gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: CountsFile
    lengths: CountsFile
    follows: CountsFile | None = None


@dataclass(frozen=True, slots=True)
class _Next:
    """What may come after the sections so far.

    Attributes:
        expected: kind and length of the section that follows, if one does.
        follow: probability that it does.
        kinds: (NUM_KINDS,) distribution of kinds before `expected` is ruled out.
        unexpected: probability of `expected` by `kinds` and its length.
    """

    expected: tuple[int, int] | None
    follow: float
    kinds: NDArray[np.float64]
    unexpected: float

    def otherwise(self) -> NDArray[np.float64]:
        """(NUM_KINDS,) distribution of the kind of a section that does not follow."""
        kinds = self.kinds.copy()
        if self.expected is not None:
            kinds[self.expected[0]] -= self.unexpected
            kinds = kinds.clip(min=0.0) / (1.0 - self.unexpected)
        return kinds

    def possible(self, num_bars_left: int) -> NDArray[np.bool_]:
        """(NUM_KINDS,) whether a section of a kind that does not follow fits into what is left."""
        possible = np.full(NUM_KINDS, num_bars_left > 0)
        possible[END] = num_bars_left == 0
        if self.expected is not None and self.expected[1] == num_bars_left == 1:
            possible[self.expected[0]] = False  # no other length of it fits
        return possible


class LayoutPrior:
    """Draws and scores layouts; see the module."""

    def __init__(self, kinds: CountTable, lengths: CountTable, follows: CountTable | None) -> None:
        """Take the tables over; without `follows` nothing ever follows."""
        self._kinds, self._lengths, self._follows = kinds, lengths, follows

    @classmethod
    def fit(cls, layouts: Sequence[Layout]) -> "LayoutPrior":
        """Count the sections of training songs.

        Raises:
            ConfigurationError: without layouts, or for one without sections.
        """
        if not layouts:
            message = "A prior of layouts needs at least one training song."
            raise ConfigurationError(message)
        kinds, lengths = _base_tables(_CONCENTRATION)
        follows = _follow_table()
        for layout in layouts:
            so_far = _SoFar()
            for kind, length in [*_encode(layout), (END, 0)]:
                expected, contexts = so_far.following() or (None, ())
                if expected is not None:
                    follows.add(contexts, int((kind, length) == expected))
                if (kind, length) != expected:
                    kinds.add(so_far.kind_contexts(), kind)
                    if kind != END:
                        lengths.add(so_far.length_contexts(kind), length - 1)
                so_far.add(kind, length)
        return cls(kinds, lengths, follows)

    def log_likelihood(self, layout: Layout) -> float:
        """Natural logarithm of the probability of a layout, its letters by order of appearance.

        Sections longer than 32 bars count as of 32.
        """
        total, so_far = 0.0, _SoFar()
        for kind, length in [*_encode(layout), (END, 0)]:
            coming = self._next(so_far)
            if (kind, length) == coming.expected:
                total += math.log(coming.follow)
            else:
                total += math.log1p(-coming.follow) - math.log1p(-coming.unexpected)
                total += math.log(coming.kinds[kind])
                if kind != END:
                    contexts = so_far.length_contexts(kind)
                    total += math.log(self._lengths.probabilities(contexts)[length - 1])
            so_far.add(kind, length)
        return total

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

    def _draw(self, rng: np.random.Generator, num_bars: int | None) -> tuple[Kinds, float]:
        """Kinds and lengths, and the logarithm of the probability that was not ruled out."""
        so_far, weight = _SoFar(), 0.0
        while True:
            if len(so_far.sections) == _MOST_SECTIONS:
                raise ConfigurationError(_ENDLESS)
            coming = self._next(so_far)
            left = MAX_SECTION_BARS if num_bars is None else num_bars - so_far.num_bars
            if coming.expected is not None:
                if coming.expected[1] > left:
                    weight += math.log1p(-coming.follow)
                elif rng.random() < coming.follow:
                    so_far.add(*coming.expected)
                    continue
            kinds = coming.otherwise()
            if num_bars is not None:
                kinds = kinds * coming.possible(left)
                weight += math.log(kinds.sum())
            kind = draw_index(kinds, rng)
            if kind == END:
                return so_far.sections, weight
            lengths = self._lengths_of(so_far, kind, coming.expected)
            if num_bars is not None:
                lengths[left:] = 0.0
                weight += math.log(lengths.sum())
            so_far.add(kind, 1 + draw_index(lengths, rng))

    def _next(self, so_far: "_SoFar") -> _Next:
        """The distribution of the next section: no letter is skipped, no layout is empty."""
        kinds = self._kinds.probabilities(so_far.kind_contexts())
        kinds[len(UNSUNG) + so_far.num_letters + 1 : END] = 0.0
        if not so_far.sections:
            kinds[END] = 0.0
        kinds /= kinds.sum()
        following = so_far.following()
        if self._follows is None or following is None:
            return _Next(None, 0.0, kinds, 0.0)
        expected, contexts = following
        kind, length = expected
        lengths = self._lengths.probabilities(so_far.length_contexts(kind))
        follow = self._follows.probabilities(contexts)[1]
        return _Next(expected, float(follow), kinds, float(kinds[kind] * lengths[length - 1]))

    def _lengths_of(
        self, so_far: "_SoFar", kind: int, expected: tuple[int, int] | None
    ) -> NDArray[np.float64]:
        """(MAX_SECTION_BARS,) distribution of the length of a section that does not follow."""
        lengths = self._lengths.probabilities(so_far.length_contexts(kind))
        if expected is not None and expected[0] == kind:
            lengths[expected[1] - 1] = 0.0
        return lengths / lengths.sum()

    def to_json(self) -> dict[str, Any]:
        """Values for `json.dump`."""
        return {
            "kinds": self._kinds.to_json(),
            "lengths": self._lengths.to_json(),
            "follows": None if self._follows is None else self._follows.to_json(),
        }

    @classmethod
    def from_file(cls, values: LayoutsFile) -> "LayoutPrior":
        """The prior that `to_json` wrote; raises as `CountTable.filled`."""
        if values.follows is None:
            kinds, lengths = _base_tables(_OLDER_CONCENTRATION)
            follows = None
        else:
            kinds, lengths = _base_tables(_CONCENTRATION)
            follows = _follow_table().filled(values.follows)
        return cls(kinds.filled(values.kinds), lengths.filled(values.lengths), follows)


def _base_tables(concentration: float) -> tuple[CountTable, CountTable]:
    """Empty tables of kinds and of lengths."""
    kinds = CountTable(NUM_KINDS, _KIND_LEVELS, concentration)
    return kinds, CountTable(MAX_SECTION_BARS, _LENGTH_LEVELS, concentration)


def _follow_table() -> CountTable:
    """An empty table of the decision to follow: 0 no, 1 yes."""
    return CountTable(2, _FOLLOW_LEVELS, _CONCENTRATION)


class _SoFar:
    """A layout up to a section, and the contexts of what comes."""

    def __init__(self) -> None:
        self.sections: Kinds = []
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

    def following(self) -> tuple[tuple[int, int], Contexts] | None:
        """What came after the earlier section most like the last one with those before it.

        The last one's kind is to be the same at least; of equally long matches the latest counts.

        Returns:
            Kind and length of that section, and the contexts of the decision that it follows; None
            where no section is of the last one's kind.
        """
        match = self._match()
        if match is None:
            return None
        place, length = match
        last, coming = self.sections[-1][0], self.sections[place + 1][0]
        roles = min(last, len(UNSUNG)), min(coming, len(UNSUNG)), int(last == coming)
        contexts = (length,), (length, *roles), (length, *roles, self.num_bars // 24)
        return self.sections[place + 1], contexts

    def _match(self) -> tuple[int, int] | None:
        """Place of the earlier section, and how many sections in a row are equal there."""
        best = None
        for place in range(len(self.sections) - 2, -1, -1):
            if self.sections[place][0] != self.sections[-1][0]:
                continue
            length = self._equal_before(place)
            if best is None or length > best[1]:
                best = place, length
        return best

    def _equal_before(self, place: int) -> int:
        """How many sections up to a place are those up to the last one, in kind and length."""
        length = 0
        for earlier, later in zip(self.sections[place::-1], self.sections[::-1], strict=False):
            if earlier != later or length == _LONGEST_MATCH:
                break
            length += 1
        return length


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
