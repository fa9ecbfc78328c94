"""Slots whose latents are known: patterns of training, and what a request gives.

The same weights infill, accompany and continue: known slots enter without noise and with a flag.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.errors import ConfigurationError

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GivenSlots:
    """What is known of a song of N bars.

    Attributes:
        mask: (N, S) bool, True where it is known.
        latents: (N, S, D) float32, raw; only known slots are read.
    """

    mask: Mask
    latents: NDArray[np.float32]

    def check(self, shape: tuple[int, int, int]) -> None:
        """Refuse what is not of a song of this shape (N, S, D).

        Raises:
            ConfigurationError: if mask or latents have another shape.
        """
        if self.mask.shape != shape[:2] or self.latents.shape != shape:
            message = (
                f"Given slots have a mask {self.mask.shape} and latents {self.latents.shape}, but "
                f"the song has the shape {shape}; give both for all of its bars and slots."
            )
            raise ConfigurationError(message)


def draw_given(
    rng: np.random.Generator, lengths: Sequence[int], shape: tuple[int, int], share: float
) -> Tensor:
    """Draw which slots of training songs are given.

    Args:
        rng: source of chance.
        lengths: bars of each of B songs.
        shape: (N, S), bars that songs are padded to and slots a bar.
        share: chance that a song has any; the pattern is one of PATTERNS, equally likely.

    Returns:
        Bool (B, N, S); at least one slot of each song is left to write.
    """
    num_bars, num_slots = shape
    given = np.zeros((len(lengths), num_bars, num_slots), np.bool_)
    for row, length in enumerate(lengths):
        if rng.random() < share:
            pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
            mask = pattern(rng, length, num_slots)
            if mask.all():
                mask[rng.integers(length), rng.integers(num_slots)] = False
            given[row, :length] = mask
    return torch.from_numpy(given)


def surrounded_span(rng: np.random.Generator, length: int, num_slots: int) -> Mask:
    """All but a span of bars, to be filled in."""
    first, last = np.sort(rng.integers(length, size=2))
    mask = np.ones((length, num_slots), np.bool_)
    mask[first : last + 1] = False
    return mask


def whole_tracks(rng: np.random.Generator, length: int, num_slots: int) -> Mask:
    """Some slots throughout the song, to be accompanied."""
    mask = np.zeros((length, num_slots), np.bool_)
    count = int(rng.integers(1, num_slots)) if num_slots > 1 else 0
    mask[:, rng.permutation(num_slots)[:count]] = True
    return mask


def single_cells(rng: np.random.Generator, length: int, num_slots: int) -> Mask:
    """Each cell by a chance that is drawn for the song."""
    chance = rng.random()
    mask: Mask = rng.random((length, num_slots)) < chance
    return mask


def prefix(rng: np.random.Generator, length: int, num_slots: int) -> Mask:
    """The beginning, to be continued."""
    mask = np.zeros((length, num_slots), np.bool_)
    mask[: rng.integers(length)] = True
    return mask


PATTERNS: tuple[Callable[[np.random.Generator, int, int], Mask], ...] = (
    surrounded_span,
    whole_tracks,
    single_cells,
    prefix,
)
