"""Bars of REMI-z tokens as the integer grid of PianoTree VAE, and back (arXiv 2008.07118).

All instruments of a bar are flattened into one set of notes, and the bar is cut into equal
positions. Each position lists the notes that begin there, from the lowest pitch, as
(pitch, bits of the duration):

* an onset goes to the nearest position, at most the last; it comes back as the position's start;
* a duration is rounded to units of one position, at least 1; longer ones than 2 ** bits units
  are clipped. The bits write units - 1, the most significant first.

POP909's onsets and durations are multiples of 3 of the 48 steps of a bar, so 16 positions lose
nothing of it but durations above 32 sixteenths (5 bits).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phrase_models.score.song import MAX_DURATION, PIANO, STEPS_PER_BAR, Phrase, PhraseNote
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import tidy_notes
from phrase_models.tokens.units import decode_unit

if TYPE_CHECKING:
    from torch import Tensor

NUM_PITCHES = vocabulary.NUM_PITCHES
END = NUM_PITCHES
"""In the place of a pitch: no more notes at this position; fills all cells without a note."""


@dataclass(frozen=True, slots=True)
class GridShape:
    """Size of the grid of one bar.

    Attributes:
        num_positions: a divisor of 48.
        max_notes: most notes at one position.
        num_bits: bits of a duration.
    """

    num_positions: int = 16
    max_notes: int = 16
    num_bits: int = 5

    @property
    def steps_per_position(self) -> int:
        """Steps of 1/48 bar from one position to the next; also the unit of durations."""
        return STEPS_PER_BAR // self.num_positions

    @property
    def cells(self) -> tuple[int, int, int]:
        """(P, N, 1 + bits)."""
        return self.num_positions, self.max_notes, 1 + self.num_bits


@dataclass(frozen=True, slots=True)
class GridReport:
    """What the grid could not hold.

    Attributes:
        num_notes: notes of all instruments that went in.
        num_merged: notes that shared position and pitch with a longer one, or with one as long.
        num_lost: notes above the number that fits at one position; the lowest are left out.
        num_clipped: notes kept with a shorter duration than theirs, as it needs too many bits.
    """

    num_notes: int = 0
    num_merged: int = 0
    num_lost: int = 0
    num_clipped: int = 0

    def __add__(self, other: GridReport) -> GridReport:
        """Counts of both."""
        return GridReport(
            self.num_notes + other.num_notes,
            self.num_merged + other.num_merged,
            self.num_lost + other.num_lost,
            self.num_clipped + other.num_clipped,
        )


def flatten_phrases(phrases: Iterable[Phrase]) -> Phrase | None:
    """All notes as if one piano played them; of equal onset and pitch only the longest.

    Returns:
        None where there are no notes.
    """
    notes = tidy_notes(note for phrase in phrases for note in phrase.notes)
    return Phrase(PIANO, notes) if notes else None


def flatten_bar(tokens: Sequence[int]) -> Phrase | None:
    """`flatten_phrases` of a bar's tokens: what a reconstruction is measured against."""
    return flatten_phrases(decode_unit(tokens))


def bars_to_grid(bars: Iterable[Sequence[int]], shape: GridShape) -> tuple[Tensor, GridReport]:
    """Bars of tokens (rows of a `PhraseTable` of bars) as one grid.

    Returns:
        Grid (B, P, N, 1 + bits) int64, whose cells without a note hold (END, 0, ..., 0); and
        what got lost.
    """
    import torch

    report = GridReport()
    grids = []
    for bar in bars:
        notes = [note for phrase in decode_unit(bar) for note in phrase.notes]
        grid, bar_report = _notes_to_grid(notes, shape)
        grids.append(grid)
        report += bar_report
    return torch.from_numpy(np.stack(grids)), report


def _notes_to_grid(
    notes: Sequence[PhraseNote], shape: GridShape
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], GridReport]:
    unit, longest = shape.steps_per_position, 2**shape.num_bits
    positions: list[dict[int, int]] = [{} for _ in range(shape.num_positions)]
    for note in notes:
        position = min((note.onset + unit // 2) // unit, shape.num_positions - 1)
        units = max(1, (note.duration + unit // 2) // unit)
        durations = positions[position]
        durations[note.pitch] = max(units, durations.get(note.pitch, 0))
    grid = np.zeros(shape.cells, np.int64)
    grid[:, :, 0] = END
    shifts = np.arange(shape.num_bits)[::-1]
    num_distinct = num_lost = num_clipped = 0
    for position, durations in enumerate(positions):
        kept = sorted(durations.items())[-shape.max_notes :]
        num_distinct += len(durations)
        num_lost += len(durations) - len(kept)
        for slot, (pitch, units) in enumerate(kept):
            num_clipped += units > longest
            grid[position, slot, 0] = pitch
            grid[position, slot, 1:] = (min(units, longest) - 1) >> shifts & 1
    return grid, GridReport(len(notes), len(notes) - num_distinct, num_lost, num_clipped)


def grid_to_bars(grid: Tensor) -> list[Phrase | None]:
    """A grid (B, P, N, 1 + bits) as flattened bars; None for bars without a note."""
    import torch

    num_positions, num_bits = grid.shape[1], grid.shape[3] - 1
    unit = STEPS_PER_BAR // num_positions
    powers = 2 ** torch.arange(num_bits).flip(0)
    cells = grid.cpu()
    bars: list[list[PhraseNote]] = [[] for _ in range(len(cells))]
    is_note = cells[..., 0] < END
    where = is_note.nonzero().tolist()
    pitches = cells[..., 0][is_note].tolist()
    durations = ((cells[..., 1:][is_note] * powers).sum(-1) + 1).tolist()
    for (bar, position, _), pitch, units in zip(where, pitches, durations, strict=True):
        bars[bar].append(PhraseNote(position * unit, pitch, min(units * unit, MAX_DURATION)))
    return [Phrase(PIANO, tidy_notes(notes)) if notes else None for notes in bars]
