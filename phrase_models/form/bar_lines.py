"""How lines go on across bar lines, and phrases whose ends are chosen so that they do.

Every phrase has a latent of its own, and drawn latents of neighbouring bars agree less on the pitch
from which a line goes on than on anything else: decoded one by one, phrases of melody and bridge
follow each other by leaps where those of songs follow by steps. So the decoder's next choices for
the first and the last pitch of a phrase compete with its first one: what a choice costs in log
likelihood is weighed against how much likelier its intervals across the bar lines are than chance.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from phrase_models.model_files import read_json_as, unusable
from phrase_models.score.song import BRIDGE, MELODY, ROLE_PROGRAMS
from phrase_models.tokens.vocabulary import FIRST_DURATION, FIRST_PITCH
from phrase_models.whole_files import write_whole_json

BAR_LINES_FILE = "bar_lines.json"
ROLE_LINES = tuple(program in (MELODY, BRIDGE) for program in ROLE_PROGRAMS)
"""Which slots of the layout "role" hold one line, which goes on from bar to bar."""
LARGEST_INTERVAL = 13
"""Semitones; larger intervals count as this one."""
NUM_INTERVALS = 2 * LARGEST_INTERVAL + 1
SMOOTHING = 10.0
"""Occurrences that every interval has from the start."""
NUM_CHOICES = 5
"""Pitches that compete at each end of a phrase."""
MAX_SWEEPS = 4
_DECIMALS = 4


def end_places(phrase: Sequence[int]) -> tuple[int, int] | None:
    """Where the highest pitches of the first and of the last onset stand in a phrase's tokens.

    Args:
        phrase: valid token ids.

    Returns:
        Their indices, equal for a phrase of one onset; None for a phrase without notes.
    """
    highest = [
        place
        for place in range(1, len(phrase))
        if _is_pitch(phrase[place]) and phrase[place - 1] < FIRST_PITCH
    ]
    return (highest[0], highest[-1]) if highest else None


def _is_pitch(token: int) -> bool:
    return FIRST_PITCH <= token < FIRST_DURATION


def _end_pitches(phrase: Sequence[int]) -> tuple[int, int] | None:
    places = end_places(phrase)
    return None if places is None else (phrase[places[0]], phrase[places[1]])


@dataclass(frozen=True, slots=True, eq=False)
class BarLines:
    """How much likelier each interval is across a bar line than between any bars of a song.

    Attributes:
        log_odds: (S, 27), natural logarithms, of -13 to 13 semitones from the last pitch of a bar
            to the first one of the next; 0 throughout in slots that hold no line.
    """

    log_odds: NDArray[np.float64]

    @classmethod
    def of_songs(
        cls, songs: Iterable[Sequence[Sequence[Sequence[int]]]], lines: Sequence[bool]
    ) -> Self:
        """Count the intervals of songs.

        Args:
            songs: token ids of every slot of every bar of each.
            lines: which slots hold a line, (S,).
        """
        counts = np.full((2, len(lines), NUM_INTERVALS), SMOOTHING)
        for slots in songs:
            for slot in np.flatnonzero(lines).tolist():
                ends = [_end_pitches(bar[slot]) for bar in slots]
                _count(counts[:, slot], ends)
        shares = counts / counts.sum(axis=2, keepdims=True)
        return cls(np.log(shares[0]) - np.log(shares[1]))

    @property
    def slots(self) -> list[int]:
        """The slots that hold a line."""
        return [int(slot) for slot in np.flatnonzero(self.log_odds.any(axis=1))]

    def write(self, path: Path) -> None:
        """Write as JSON, aside first."""
        write_whole_json(path, {"log_odds": np.round(self.log_odds, _DECIMALS).tolist()})


def _count(counts: NDArray[np.float64], ends: Sequence[tuple[int, int] | None]) -> None:
    """Add the intervals of a song's line, and those by chance, to counts (2, 27)."""
    for before, after in pairwise(ends):
        if before is not None and after is not None:
            counts[0, _index(np.asarray(after[0] - before[1]))] += 1
    known = np.array([end for end in ends if end is not None]).reshape(-1, 2)
    if len(known):
        chance = _index(known[None, :, 0] - known[:, None, 1])
        counts[1] += np.bincount(chance.ravel(), minlength=NUM_INTERVALS) / len(known)


def _index(intervals: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.clip(intervals, -LARGEST_INTERVAL, LARGEST_INTERVAL) + LARGEST_INTERVAL


class BarLinesFile(BaseModel):
    """What `BarLines.write` writes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    log_odds: list[list[Annotated[float, Field(ge=-100, le=100)]]]


def read_bar_lines(path: Path, slots_per_bar: int) -> BarLines:
    """Read what `BarLines.write` wrote.

    Raises:
        ConfigurationError: if there is none, or it is for another number of slots.
    """
    rows = read_json_as(path, BarLinesFile).log_odds
    if [len(row) for row in rows] != [NUM_INTERVALS] * slots_per_bar:
        raise unusable(path, f"log_odds is not {slots_per_bar} lists of {NUM_INTERVALS} numbers")
    return BarLines(np.array(rows))


@dataclass(frozen=True, slots=True)
class _Choices:
    """What a phrase may begin and end with; the decoder's own choice comes first.

    Attributes:
        pitches: of the first and the last onset, (C, 2) token ids.
        costs: log likelihood less that of the first choice, (C,), at most 0.
    """

    pitches: NDArray[np.int64]
    costs: NDArray[np.float64]


def _choices_at(
    phrase: Sequence[int], place: int, log_likelihood: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Token ids of the likeliest pitches at a place, the one that is there first; their costs."""
    own = phrase[place] - FIRST_PITCH
    below = phrase[place + 2] if place + 2 < len(phrase) else 0
    lowest = below - FIRST_PITCH + 1 if _is_pitch(below) else 0
    likeliest = np.argsort(-log_likelihood, kind="stable")[:NUM_CHOICES]
    others = likeliest[(likeliest >= lowest) & (likeliest != own)]
    others = others[np.isfinite(log_likelihood[others])]
    pitches = np.concatenate([[own], others])
    costs = log_likelihood[pitches].astype(np.float64) - float(log_likelihood[own])
    return pitches + FIRST_PITCH, np.minimum(costs, 0.0)


def _choices(phrase: Sequence[int], log_likelihoods: NDArray[np.float32] | None) -> _Choices | None:
    places = end_places(phrase)
    if places is None or log_likelihoods is None:
        return None
    first, first_costs = _choices_at(phrase, places[0], log_likelihoods[0])
    if places[0] == places[1]:
        return _Choices(np.stack((first, first), axis=1), first_costs)
    last, last_costs = _choices_at(phrase, places[1], log_likelihoods[1])
    grid = np.meshgrid(first, last, indexing="ij")
    costs = first_costs[:, None] + last_costs[None, :]
    return _Choices(np.stack([axis.ravel() for axis in grid], axis=1), costs.ravel())


class _Line:
    """The phrases of one slot of a song, each with the choice that it has at the moment."""

    def __init__(
        self,
        numbers: NDArray[np.int64],
        choices: Mapping[int, _Choices],
        weighted_odds: NDArray[np.float64],
    ) -> None:
        self.numbers, self.choices, self.odds = numbers, choices, weighted_odds
        self.chosen = dict.fromkeys(choices, 0)
        self.bars = {number: np.flatnonzero(numbers == number) for number in choices}

    def improve(self, number: int) -> bool:
        """Give a phrase its best choice beside its neighbours, in all bars; whether it is new."""
        mine, bars = self.choices[number], self.bars[number]
        first, last = mine.pitches.T
        scores = len(bars) * mine.costs
        scores = scores + self._odds(first[:, None] - self._neighbours(bars - 1, 1, number))
        scores += self._odds(self._neighbours(bars + 1, 0, number) - last[:, None])
        follows_itself = int((np.diff(bars) == 1).sum())
        scores += follows_itself * self.odds[_index(first - last)]
        best = int(np.argmax(scores))
        is_new = best != self.chosen[number]
        self.chosen[number] = best
        return is_new

    def _odds(self, intervals: NDArray[np.int64]) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = self.odds[_index(intervals)].sum(axis=1)
        return sums

    def _neighbours(self, bars: NDArray[np.int64], end: int, number: int) -> NDArray[np.int64]:
        """First (0) or last (1) pitches of other phrases in these bars, (1, bars that have one)."""
        inside = bars[(bars >= 0) & (bars < len(self.numbers))]
        others = [int(n) for n in self.numbers[inside] if n != number and n in self.choices]
        pitches = [self.choices[other].pitches[self.chosen[other], end] for other in others]
        return np.array(pitches, np.int64).reshape(1, -1)


def join_phrases(
    numbers: NDArray[np.int64],
    phrases: Mapping[int, Sequence[int]],
    log_likelihoods: Mapping[int, NDArray[np.float32]],
    log_odds: NDArray[np.float64],
    weight: float,
    kept: NDArray[np.bool_] | None = None,
) -> dict[int, list[int]]:
    """Choose first and last pitches of the phrases of a line beside each other.

    Starting from the decoder's own choices, each phrase in turn takes its best one until none
    changes or after four rounds (iterated conditional modes). A phrase stays one and the same in
    all bars that have it.

    Args:
        numbers: of the phrase of each bar, (num_bars,).
        phrases: token ids by number, as decoded.
        log_likelihoods: of all pitches at the first and at the last onset of each phrase, (2, 128),
            by number.
        log_odds: of intervals across bar lines, (27,); see `BarLines`.
        weight: of the log odds beside the log likelihoods.
        kept: bars whose phrases are given and stay as they are, (num_bars,).

    Returns:
        The phrases that changed, by number.
    """
    given = set() if kept is None else set(numbers[kept].tolist())
    choices: dict[int, _Choices] = {}
    for number in dict.fromkeys(numbers.tolist()):
        found = _choices(phrases[number], log_likelihoods.get(number))
        if found is not None:
            own = _Choices(found.pitches[:1], found.costs[:1])
            choices[number] = own if number in given else found
    line = _Line(numbers, choices, weight * log_odds)
    for _ in range(MAX_SWEEPS):
        if not sum([line.improve(number) for number in choices]):
            break
    return {
        number: _with_ends(phrases[number], choices[number].pitches[choice])
        for number, choice in line.chosen.items()
        if choice
    }


def _with_ends(phrase: Sequence[int], pitches: NDArray[np.int64]) -> list[int]:
    tokens, places = list(phrase), end_places(phrase)
    assert places is not None
    for place, pitch in zip(places, pitches.tolist(), strict=True):
        tokens[place] = pitch
    return tokens
