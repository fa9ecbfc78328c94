"""A texture as text: on one line for files of ours, a line a bar for people to read and edit.

A cell is five digits, or "." without notes, as in these bars of melody, bridge and piano::

    # A2, bars 5 to 6
    # melody  bridge  piano
      865eg   .       13aac   # 5
      865eg   ?       1?aac   # 6

Digits are those of `TEXTURE_ATTRIBUTES`, 0 to 9 and on from a to z; "?" leaves one, or all of a
cell, open.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_text import blocks_of
from phrase_models.form.song_form import SLOT_NAMES
from phrase_models.form.texture import (
    EDGES,
    LARGEST,
    LOWEST_PITCH,
    NO_TEXTURE,
    SEMITONES_A_STEP,
    TEXTURE_ATTRIBUTES,
    UNKNOWN_TEXTURE,
)
from phrase_models.score.song import Section

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_OPEN: Final = "?"
_SILENT: Final = "."
_WIDTH: Final = 1 + max(map(len, SLOT_NAMES))
_SEMITONES_AN_OCTAVE: Final = 12
_HIGHEST_OF_A_PIANO: Final = 108


def texture_text(texture: NDArray[np.int64]) -> str:
    """A texture as "866eg . 13aac | ...": five digits a cell, 0 to z or "?"; "." without notes."""
    return " | ".join(" ".join(_cell_text(cell) for cell in bar) for bar in texture.tolist())


def format_texture(texture: NDArray[np.int64], sections: Sequence[Section] = ()) -> str:
    """A texture of three slots, a line a bar, which `parse_texture` reads back.

    Args:
        texture: (N, 3, 5).
        sections: contiguous from bar 0, for headings as those of `format_form`.
    """
    names = " ".join(name.ljust(_WIDTH) for name in SLOT_NAMES).rstrip()
    lines = []
    for label, start, end in blocks_of(len(texture), sections):
        lines += ["", f"# {label}bars {start + 1} to {end}", f"# {names}"]
        for number, bar in enumerate(texture[start:end].tolist(), start=start + 1):
            cells = " ".join(_cell_text(cell).ljust(_WIDTH) for cell in bar)
            lines.append(f"  {cells} # {number}")
    return "\n".join(lines[1:]) + "\n"


def texture_legend() -> tuple[str, ...]:
    """Lines that say what the digits of a cell mean."""
    onsets, notes, sounding = (_edges_text(edges) for edges in EDGES)
    octaves = range(LOWEST_PITCH + SEMITONES_A_STEP, _HIGHEST_OF_A_PIANO + 1, _SEMITONES_AN_OCTAVE)
    pitches = " ".join(
        f"{_DIGITS[1 + (pitch - LOWEST_PITCH) // SEMITONES_A_STEP]}=C{octave}"
        for octave, pitch in enumerate(octaves, start=1)
    )
    return (
        "A cell is . without notes, else five digits; ? leaves a digit, or a cell, to the model:",
        f"1 places where a note begins, up to: {onsets}",
        f"2 notes, up to: {notes}",
        f"3 notes that sound at once, in the mean over the bar, up to: {sounding}",
        f"4, 5 lowest and highest pitch, as in C major or A minor, from: {pitches}; C4 is 60",
    )


def _edges_text(edges: Sequence[float]) -> str:
    shown = (f"{_DIGITS[number]}={edge:g}" for number, edge in enumerate(edges, start=1))
    return " ".join((*shown, f"{_DIGITS[len(edges) + 1]}=more"))


def parse_texture(text: str) -> NDArray[np.int64]:
    """The texture (N, S, 5) of what `texture_text` or `format_texture` wrote.

    A bar ends with its line, or at a "|" within; what follows a "#" is a comment, and lines
    without cells do not matter.

    Raises:
        ConfigurationError: one sentence with line and bar, for what is no cell or contradicts
            itself, and for bars of unequal numbers of cells.
    """
    bars: list[list[list[int]]] = []
    for line, cells in _bars(text):
        where = f"Line {line} of the texture, bar {len(bars) + 1}"
        bars.append([_parse_cell(cell, where) for cell in cells])
        if len(cells) != len(bars[0]):
            message = (
                f"{where}: there are {len(cells)} cells, but {len(bars[0])} in bar 1; write one "
                "for each instrument."
            )
            raise ConfigurationError(message)
    if not bars:
        message = (
            "The texture holds no bar; it needs lines such as '865eg . 13aac', and `phraseldm "
            "texture` prints some to begin with."
        )
        raise ConfigurationError(message)
    return np.array(bars, np.int64)


def _bars(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line, counted from 1, and cells of every bar."""
    for number, line in enumerate(text.splitlines(), start=1):
        kept = line.split("#")[0].strip().strip("|")
        if kept.strip():
            yield from ((number, bar.split()) for bar in kept.split("|"))


def _cell_text(cell: Sequence[int]) -> str:
    if all(value == NO_TEXTURE for value in cell):
        return _SILENT
    return "".join(_OPEN if value == UNKNOWN_TEXTURE else _DIGITS[value] for value in cell)


def _parse_cell(cell: str, where: str) -> list[int]:
    size = len(TEXTURE_ATTRIBUTES)
    if cell == _SILENT:
        return [NO_TEXTURE] * size
    if cell == _OPEN:
        return [UNKNOWN_TEXTURE] * size
    if len(cell) != size or set(cell) - {*_DIGITS, _OPEN}:
        message = (
            f"{where}: {cell[:20]!r} is no cell; write {size} digits from 0 to z, ? where one is "
            "left open, or a single . without notes."
        )
        raise ConfigurationError(message)
    values = [UNKNOWN_TEXTURE if digit == _OPEN else _DIGITS.index(digit) for digit in cell]
    fault = _contradiction(values)
    if fault:
        raise ConfigurationError(f"{where}: {cell!r} cannot be: {fault}.")
    return values


def _contradiction(values: Sequence[int]) -> str:
    """What no phrase can have; empty for numbers that go together."""
    if NO_TEXTURE in values:
        some = any(value > NO_TEXTURE for value in values)
        return "0 is of a cell without notes, and the others are not 0" if some else ""
    for place, (value, largest) in enumerate(zip(values, LARGEST, strict=True), start=1):
        if value > largest:
            return f"digit {place} goes from 1 to {_DIGITS[largest]}"
    onsets, notes, _, lowest, highest = values
    if UNKNOWN_TEXTURE not in {onsets, notes} and _fewest(onsets) > _most(notes):
        return (
            f"notes would begin at {_fewest(onsets)} places or more, but there are {_most(notes)} "
            "notes at most"
        )
    if UNKNOWN_TEXTURE not in {lowest, highest} and lowest > highest:
        return "the lowest pitch is above the highest"
    return ""


def _fewest(onsets: int) -> int:
    return 1 if onsets == 1 else EDGES[0][onsets - 2] + 1


def _most(notes: int) -> float:
    return math.inf if notes > len(EDGES[1]) else EDGES[1][notes - 1]
