"""What one latent stands for: a phrase, a whole bar, or an onset position of a bar (section 4.2.3).

A unit is a list of token ids. Units of more than one phrase are phrases end to end, each beginning
with its program.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from phrase_models.score.song import Phrase
from phrase_models.tokens.remiz import decode
from phrase_models.tokens.vocabulary import (
    FIRST_DURATION,
    FIRST_ONSET,
    FIRST_PITCH,
    FIRST_PROGRAM,
)

Granularity = Literal["phrase", "bar", "position"]


def split_bar(phrases: Sequence[Sequence[int]], granularity: Granularity) -> list[list[int]]:
    """The units of one bar.

    Args:
        phrases: token ids of each phrase of the bar, in their order.
        granularity: "phrase": the phrases; "bar": one unit of all of them; "position": one unit for
            each onset at which any of them has notes, onsets ascending.
    """
    if granularity == "phrase":
        return [list(phrase) for phrase in phrases]
    if granularity == "bar":
        return [[token for phrase in phrases for token in phrase]] if phrases else []
    positions: dict[int, list[int]] = {}
    for phrase in phrases:
        for chord in _chords(phrase[1:]):
            positions.setdefault(chord[0], []).extend([phrase[0], *chord])
    return [positions[onset] for onset in sorted(positions)]


def decode_unit(ids: Sequence[int]) -> list[Phrase]:
    """The phrases of a unit; total, as `remiz.decode` is. Special phrases give none."""
    starts = [0, *(place for place, token in enumerate(ids) if place and _is_program(token))]
    parts = [decode(ids[start:end])[0] for start, end in pairwise([*starts, len(ids)])]
    return [phrase for phrase in parts if phrase is not None]


def transpose_unit(ids: Sequence[int], semitones: int) -> list[int]:
    """The unit so many semitones higher; as it is where a pitch would leave MIDI's range."""
    moved = [token + semitones if _is_pitch(token) else token for token in ids]
    fits = all(
        _is_pitch(after) for before, after in zip(ids, moved, strict=True) if _is_pitch(before)
    )
    return moved if fits else list(ids)


def _is_pitch(token: int) -> bool:
    return FIRST_PITCH <= token < FIRST_DURATION


def _chords(tokens: Sequence[int]) -> list[Sequence[int]]:
    """Tokens of a phrase after its program, cut before each onset."""
    starts = [place for place, token in enumerate(tokens) if FIRST_ONSET <= token < FIRST_PITCH]
    return [tokens[start:end] for start, end in pairwise([*starts, len(tokens)])]


def _is_program(token: int) -> bool:
    return FIRST_PROGRAM <= token < FIRST_ONSET
