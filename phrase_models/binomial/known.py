"""Known cells: what a roll is completed around, and which cells a training segment knows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from phrase_models.binomial.config import STEPS_PER_ROLL_BAR, RollConfig
from phrase_models.binomial.rolls import Roll
from phrase_models.score.song import ROLE_PROGRAMS

MOST_RANDOM = 0.95
"""Of the cells of a segment that are known one by one."""


@dataclass(frozen=True, slots=True)
class KnownCells:
    """Cells of a roll that are given; also those that are given as silent.

    Attributes:
        mask: (C, S, P) bool, cells that are known.
        values: (C, S, P) bool, what they are; counts only where the mask is True.
    """

    mask: Roll
    values: Roll

    def kept_in(self, roll: Roll) -> bool:
        """Whether a roll has every known cell as it was given."""
        return bool((roll == self.values)[self.mask].all())

    @classmethod
    def nothing(cls, shape: tuple[int, int, int]) -> Self:
        """No cell is known."""
        empty = np.zeros(shape, np.bool_)
        return cls(empty, empty)


def voice_planes(config: RollConfig, program: int) -> slice:
    """The planes of a role.

    Raises:
        ValueError: if the roll has no roles.
    """
    if config.voices != "roles":
        message = "the voices of this roll are flattened, so it has no planes of a role"
        raise ValueError(message)
    first = ROLE_PROGRAMS.index(program) * config.planes_per_voice
    return slice(first, first + config.planes_per_voice)


def voice_mask(config: RollConfig, num_steps: int, programs: tuple[int, ...]) -> Roll:
    """All cells of some roles, silent ones too: harmonising knows those of the melody."""
    mask = _nothing(config, num_steps)
    for program in programs:
        mask[voice_planes(config, program)] = True
    return mask


def step_mask(config: RollConfig, num_steps: int, first: int, end: int) -> Roll:
    """All cells of the steps from `first` to before `end`."""
    mask = _nothing(config, num_steps)
    mask[:, first:end] = True
    return mask


def pitch_mask(config: RollConfig, num_steps: int, lowest: int, highest: int) -> Roll:
    """All cells of the MIDI pitches from `lowest` to `highest`, both included."""
    mask = _nothing(config, num_steps)
    first = max(0, lowest - config.lowest_pitch)
    mask[:, :, first : max(0, highest + 1 - config.lowest_pitch)] = True
    return mask


def _nothing(config: RollConfig, num_steps: int) -> Roll:
    return np.zeros((config.num_planes, num_steps, config.num_pitches), np.bool_)


# ------------------------------------------------------------------ patterns of the training
Pattern = Callable[[np.random.Generator, RollConfig, int], Roll]


def _melody(_: np.random.Generator, config: RollConfig, num_steps: int) -> Roll:
    return voice_mask(config, num_steps, ROLE_PROGRAMS[:1])


def _roles(rng: np.random.Generator, config: RollConfig, num_steps: int) -> Roll:
    """One or two roles, any."""
    count = int(rng.integers(1, len(ROLE_PROGRAMS)))
    chosen = rng.permutation(len(ROLE_PROGRAMS))[:count]
    return voice_mask(config, num_steps, tuple(ROLE_PROGRAMS[index] for index in chosen))


def _spans(rng: np.random.Generator, config: RollConfig, num_steps: int) -> Roll:
    """All but a hole of some bars, which may reach to either end."""
    num_bars = num_steps // STEPS_PER_ROLL_BAR
    length = int(rng.integers(1, num_bars + 1))
    first = int(rng.integers(0, num_bars - length + 1))
    hole = slice(first * STEPS_PER_ROLL_BAR, (first + length) * STEPS_PER_ROLL_BAR)
    mask = ~_nothing(config, num_steps)
    mask[:, hole] = False
    return mask


def _pitches(rng: np.random.Generator, config: RollConfig, num_steps: int) -> Roll:
    """All pitches above one, or all below it."""
    split = int(rng.integers(1, config.num_pitches))
    mask = _nothing(config, num_steps)
    mask[:, :, split:] = True
    return mask if rng.random() < 0.5 else ~mask


def _cells(rng: np.random.Generator, config: RollConfig, num_steps: int) -> Roll:
    """Places of a voice by chance, in all its planes at once."""
    share = MOST_RANDOM * rng.random()
    places = rng.random((config.num_voices, num_steps, config.num_pitches), np.float32) < share
    return places.repeat(config.planes_per_voice, axis=0)


PATTERNS_OF_ROLES: tuple[Pattern, ...] = (_melody, _melody, _roles, _spans, _pitches, _cells)
PATTERNS_OF_ONE_VOICE: tuple[Pattern, ...] = (_spans, _spans, _pitches, _cells)


def draw_known_mask(
    rng: np.random.Generator, config: RollConfig, num_segments: int, share: float
) -> NDArray[np.bool_]:
    """Which cells of training segments are known, (B, C, S, P) bool.

    Args:
        rng: source of chance.
        config: what the cells are.
        num_segments: B.
        share: chance of a segment to know any; of those it is the melody, roles, all but a hole of
            bars, a range of pitches, or places by chance.
    """
    shape = (config.num_planes, config.segment_steps, config.num_pitches)
    masks = np.zeros((num_segments, *shape), np.bool_)
    patterns = PATTERNS_OF_ROLES if config.voices == "roles" else PATTERNS_OF_ONE_VOICE
    for mask in masks:
        if rng.random() < share:
            pattern = patterns[int(rng.integers(len(patterns)))]
            mask[:] = pattern(rng, config, config.segment_steps)
    return masks
