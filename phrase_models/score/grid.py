"""Free MIDI time -> the song grid of 48 steps a bar.

Onsets and ends are rounded apart, half to even as numpy does; a note lasts at least one grid place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from phrase_models.score.song import MAX_DURATION, SIXTEENTH, Note

FloatArray = NDArray[np.float64]
_FIELDS = attrgetter("onset", "pitch", "duration", "velocity")


@dataclass(frozen=True, slots=True)
class TempoMap:
    """Ticks and seconds of a MIDI file.

    Attributes:
        ticks: where each tempo begins (T,).
        seconds: the same in seconds (T,).
        bpm: beats a minute from there on (T,).
        ticks_per_beat: resolution.
    """

    ticks: FloatArray
    seconds: FloatArray
    bpm: FloatArray
    ticks_per_beat: int

    @classmethod
    def build(cls, changes: Sequence[tuple[int, float]], ticks_per_beat: int) -> "TempoMap":
        """From (tick, bpm) pairs; 120 bpm until the first."""
        ordered = sorted(dict(changes).items())
        if not ordered or ordered[0][0] > 0:
            ordered = [(0, 120.0), *ordered]
        ticks = np.array([tick for tick, _ in ordered], np.float64)
        bpm = np.array([value for _, value in ordered], np.float64)
        lengths = np.diff(ticks) * 60 / (bpm[:-1] * ticks_per_beat)
        return cls(ticks, np.concatenate(([0.0], np.cumsum(lengths))), bpm, ticks_per_beat)

    def to_ticks(self, seconds: FloatArray) -> FloatArray:
        """Seconds -> ticks, through all tempo changes."""
        index = np.clip(np.searchsorted(self.seconds, seconds, side="right") - 1, 0, None)
        passed = seconds - self.seconds[index]
        return self.ticks[index] + passed * self.bpm[index] * self.ticks_per_beat / 60

    def to_seconds(self, ticks: FloatArray) -> FloatArray:
        """Ticks -> seconds, through all tempo changes."""
        index = np.clip(np.searchsorted(self.ticks, ticks, side="right") - 1, 0, None)
        passed = ticks - self.ticks[index]
        return self.seconds[index] + passed * 60 / (self.bpm[index] * self.ticks_per_beat)

    def median_bpm(self, last_tick: float) -> float:
        """Median tempo, each weighted by the ticks it lasts."""
        lengths = np.clip(np.diff(np.append(self.ticks, max(last_tick, self.ticks[-1]))), 0, None)
        order = np.argsort(self.bpm, kind="stable")
        total = np.cumsum(lengths[order])
        if total[-1] == 0:
            return float(self.bpm[0])
        return float(self.bpm[order][np.searchsorted(total, total[-1] / 2)])


def beat_phase(beat_ticks: FloatArray, ticks_per_beat: int) -> float:
    """Circular mean of the beats within a beat of ticks, 0 <= phase < ticks_per_beat."""
    angles = 2 * np.pi * beat_ticks / ticks_per_beat
    mean = np.angle(np.exp(1j * angles).mean()) % (2 * np.pi)
    phase = float(mean / (2 * np.pi) * ticks_per_beat)
    return phase if phase < ticks_per_beat else 0.0


def quantise(places: FloatArray) -> NDArray[np.int64]:
    """Nearest grid places, half to even."""
    return np.round(places).astype(np.int64)


def off_grid_fraction(places: FloatArray) -> float:
    """Share of onsets, in 16ths, over a quarter of a 16th away from the nearest."""
    return float((np.abs(places - np.round(places)) > 0.25).mean()) if len(places) else 0.0


def clean_track(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Notes that survive a MIDI file, sorted by (onset, pitch); see `clean_notes`."""
    flat = np.fromiter(chain.from_iterable(map(_FIELDS, notes)), np.int64)
    return notes_of_table(clean_notes(flat.reshape(-1, 4))[0])


def clean_notes(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Notes of one track that survive a MIDI file, sorted by (onset, pitch).

    Of notes with equal onset and pitch the longest stays, of equal ones the first; a note that
    still sounds when its pitch is struck again ends there; no note is longer than 127 steps.

    Args:
        table: (N, 4) of onset, pitch, duration and velocity.

    Returns:
        The same of the notes that stay, and how many of them are shorter than they were.
    """
    by_pitch = table[np.lexsort((-table[:, 2], table[:, 0], table[:, 1]))]
    onset, pitch = by_pitch[:, 0], by_pitch[:, 1]
    is_longest = np.ones(len(table), np.bool_)
    is_longest[1:] = (np.diff(onset) != 0) | (np.diff(pitch) != 0)
    kept = by_pitch[is_longest]
    room = np.full(len(kept), MAX_DURATION)
    room[:-1] = np.where(np.diff(kept[:, 1]) == 0, np.diff(kept[:, 0]), MAX_DURATION)
    room = np.minimum(room, MAX_DURATION)
    num_shortened = int((kept[:, 2] > room).sum())
    kept[:, 2] = np.minimum(kept[:, 2], room)
    return kept[np.argsort(kept[:, 0], kind="stable")], num_shortened


def notes_of_table(table: NDArray[np.int64]) -> tuple[Note, ...]:
    """Rows of onset, pitch, duration and velocity as notes."""
    return tuple(map(Note, *table.T.tolist())) if len(table) else ()


def grid_notes(
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    pitches: NDArray[np.int64],
    velocities: NDArray[np.int64],
    *,
    steps: int = SIXTEENTH,
) -> tuple[Note, ...]:
    """Quantised places as notes of one track.

    Args:
        starts: grid places from bar 0.
        ends: the same of their ends.
        pitches: of the notes.
        velocities: of the notes.
        steps: steps a grid place; 3 on the 16th grid, 1 on the 48 grid.
    """
    durations = np.minimum(np.maximum(ends - starts, 1) * steps, MAX_DURATION)
    table = np.column_stack((starts * steps, pitches, durations, velocities))
    return notes_of_table(clean_notes(table)[0])
