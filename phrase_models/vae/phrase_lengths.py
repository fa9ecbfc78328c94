"""Lengths that phrases are padded to."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Lengths = TypeVar("Lengths", int, NDArray[np.int64])

LENGTH_MULTIPLE = 2
"""Padded lengths are multiples of it: little padding, and few enough distinct shapes."""


def rounded_up(lengths: Lengths) -> Lengths:
    """Lengths, or one, as the next multiple of LENGTH_MULTIPLE."""
    return -(-lengths // LENGTH_MULTIPLE) * LENGTH_MULTIPLE


def padded_length(lengths: Lengths) -> Lengths:
    """Lengths, or one, with an end token, rounded up."""
    return rounded_up(lengths + 1)
