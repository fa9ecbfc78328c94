"""The texture of a song: how full, how held and how high each cell is, in a few steps.

Form says what repeats and chords say the harmony; neither says whether a bar of the piano holds one
chord or runs in sixteenths. Five numbers a cell do, each an interval of what the phrase has:
`TEXTURE_ATTRIBUTES`. Known bar by bar as in MuseMorphose (Wu and Yang 2021, section III.C), whose
two attributes they extend.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phrase_models.form.form_extraction import Slots
from phrase_models.score.song import STEPS_PER_BAR
from phrase_models.tokens.vocabulary import FIRST_DURATION, FIRST_ONSET, FIRST_PITCH

TEXTURE_ATTRIBUTES: Final = ("onsets", "notes", "sounding", "lowest", "highest")
"""Places where a note begins; notes; notes that sound at once, in the mean over the bar; lowest and
highest pitch."""
UNKNOWN_TEXTURE: Final = -1
"""Of a number that is left to the model."""
NO_TEXTURE: Final = 0
"""Of a cell without notes."""
LOWEST_PITCH, SEMITONES_A_STEP = 21, 3
EDGES: Final = (
    (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16),
    (1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 22, 28),
    (0.15, 0.3, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
)
"""Upper ends of the intervals of the first three, included."""
NUM_TEXTURE_VALUES: Final = 36
"""Numbers of an attribute at most, NO_TEXTURE among them."""
LARGEST: Final = (*(len(edges) + 1 for edges in EDGES), *(NUM_TEXTURE_VALUES - 1,) * 2)
"""Number of each attribute beyond the last interval, or of the highest pitch."""


def texture_of_slots(slots: Slots) -> NDArray[np.int8]:
    """Texture of a song from its tokens, (N, S, 5) int8; NO_TEXTURE at silent cells.

    Args:
        slots: token ids of every slot of every bar.
    """
    return np.array([[_of_phrase(phrase) for phrase in bar] for bar in slots], np.int8)


def _of_phrase(phrase: Sequence[int]) -> tuple[int, ...]:
    pitches = [token - FIRST_PITCH for token in phrase if FIRST_PITCH <= token < FIRST_DURATION]
    steps = sum(token - FIRST_DURATION + 1 for token in phrase if token >= FIRST_DURATION)
    if not pitches or not steps:
        return (NO_TEXTURE,) * len(TEXTURE_ATTRIBUTES)
    onsets = len({token for token in phrase if FIRST_ONSET <= token < FIRST_PITCH})
    measured = (onsets, len(pitches), steps / STEPS_PER_BAR)
    counted = (
        1 + int(np.searchsorted(edges, value)) for edges, value in zip(EDGES, measured, strict=True)
    )
    return (*counted, _pitch_step(min(pitches)), _pitch_step(max(pitches)))


def _pitch_step(pitch: int) -> int:
    step = 1 + max(0, pitch - LOWEST_PITCH) // SEMITONES_A_STEP
    return min(step, NUM_TEXTURE_VALUES - 1)
