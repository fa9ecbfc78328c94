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

from phrase_models.errors import ConfigurationError
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
_EDGES: Final = (
    (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16),
    (1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 22, 28),
    (0.15, 0.3, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
)
"""Upper ends of the intervals of the first three, included."""
NUM_TEXTURE_VALUES: Final = 36
"""Numbers of an attribute at most, NO_TEXTURE among them: one of the digits 0 to z each."""
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_OPEN_DIGIT: Final = "?"
_SILENT_CELL: Final = "."


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
        1 + int(np.searchsorted(edges, value))
        for edges, value in zip(_EDGES, measured, strict=True)
    )
    return (*counted, _pitch_step(min(pitches)), _pitch_step(max(pitches)))


def _pitch_step(pitch: int) -> int:
    step = 1 + max(0, pitch - LOWEST_PITCH) // SEMITONES_A_STEP
    return min(step, NUM_TEXTURE_VALUES - 1)


def texture_text(texture: NDArray[np.int64]) -> str:
    """A texture as "866eg . 13aac | ...": five digits a cell, 0 to z or "?"; "." without notes."""
    return " | ".join(" ".join(_cell_text(cell) for cell in bar) for bar in texture.tolist())


def parse_texture(text: str) -> NDArray[np.int64]:
    """The texture (N, S, 5) of what `texture_text` wrote.

    Raises:
        ConfigurationError: for a cell of other digits, or bars of unequal numbers of cells.
    """
    bars = [[_parse_cell(cell, number) for cell in bar.split()] for number, bar in _bars(text)]
    sizes = {len(bar) for bar in bars}
    if len(sizes) != 1 or 0 in sizes:
        message = (
            f"The texture {text[:40]!r} has bars of {min(sizes)} to {max(sizes)} cells; write one "
            'for every instrument of every bar, bars set apart by "|".'
        )
        raise ConfigurationError(message)
    return np.array(bars, np.int64)


def _bars(text: str) -> enumerate[str]:
    return enumerate(text.strip().strip("|").split("|"), start=1)


def _cell_text(cell: Sequence[int]) -> str:
    if all(value == NO_TEXTURE for value in cell):
        return _SILENT_CELL
    return "".join(_OPEN_DIGIT if value == UNKNOWN_TEXTURE else _DIGITS[value] for value in cell)


def _parse_cell(cell: str, bar: int) -> list[int]:
    if cell == _SILENT_CELL:
        return [NO_TEXTURE] * len(TEXTURE_ATTRIBUTES)
    if len(cell) != len(TEXTURE_ATTRIBUTES) or set(cell) - {*_DIGITS, _OPEN_DIGIT}:
        message = (
            f"Bar {bar} of the texture has the cell {cell[:20]!r}; write "
            f"{len(TEXTURE_ATTRIBUTES)} digits from 0 to z, ? where one is left open, or a single "
            ". without notes."
        )
        raise ConfigurationError(message)
    return [UNKNOWN_TEXTURE if digit == _OPEN_DIGIT else _DIGITS.index(digit) for digit in cell]
