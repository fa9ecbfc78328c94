"""Where the bars of a MIDI file begin: meters, pickups, set-up bars, and beats off the grid."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import BadMidiError
from phrase_models.score.midi_file import MidiFile

COMMON_TIME = (4, 4)
BEATS_ONLY = (1, 4)
"""What programs write that know of beats but of no bars."""
CLEAR_GAIN = 0.5
"""Beats are shifted if that leaves onsets at most this share as far from the grid as before."""
LEAST_PHASE = 1 / 16
"""Of a grid place; smaller ones are within the rounding."""


def opening_shift(midi: MidiFile, first_onset: int, last_end: int, path: Path) -> tuple[int, str]:
    """Ticks to move everything by so that bars of 4/4 begin at 0, and a sentence; "" for none.

    A beginning of another meter that is shorter than a bar is a pickup, which is padded to a whole
    bar, or where no note begins in it a set-up bar, which is skipped.

    Args:
        midi: the file.
        first_onset: of the notes that are read, in ticks.
        last_end: of them.
        path: for the message.

    Raises:
        BadMidiError: naming meter and bar, if other meters than 4/4 are in the music.
    """
    bar = 4 * midi.ticks_per_beat
    meters = _meters(midi, last_end)
    if [meter[1:] for meter in meters] == [BEATS_ONLY]:
        return (
            0,
            "The meter is 1/4 throughout, which tells but beats; bars of 4/4 begin at 0.",
        )
    opening, length = meters[0][1:], meters[1][0] if len(meters) > 1 else 0
    shift, sentence = 0, ""
    if opening != COMMON_TIME and 0 < length < bar and meters[1][1:] == COMMON_TIME:
        meter = f"{opening[0]}/{opening[1]}"
        if first_onset >= length:
            shift, sentence = -length, f"The set-up bar of {meter} has no notes and is skipped."
        else:
            shift = bar - length
            beats = shift / midi.ticks_per_beat
            sentence = (
                f"The pickup bar of {meter} is padded to a whole bar by {beats:g} silent beats."
            )
        meters = meters[1:]
    _refuse_other_meters(meters, midi.ticks_per_beat, path)
    return shift, sentence


def _meters(midi: MidiFile, last_end: int) -> list[tuple[int, int, int]]:
    """Changes of the meter within the music; of several at one tick the last."""
    at = {tick: (upper, lower) for tick, upper, lower in midi.meters if tick < max(last_end, 1)}
    at = {0: COMMON_TIME, **at}
    changes: list[tuple[int, int, int]] = []
    for tick in sorted(at):
        if not changes or changes[-1][1:] != at[tick]:
            changes.append((tick, *at[tick]))
    return changes


def _refuse_other_meters(
    meters: list[tuple[int, int, int]], ticks_per_beat: int, path: Path
) -> None:
    for tick, upper, lower in meters:
        if (upper, lower) != COMMON_TIME:
            # It is the first that differs: all bars before it have four beats.
            bar = (tick - meters[0][0]) / (4 * ticks_per_beat)
            message = (
                f"File {path} is in {upper}/{lower} from bar {math.floor(bar) + 1} "
                f"(tick {tick}); only 4/4 can be read."
            )
            raise BadMidiError(message)


def grid_phase(onsets: NDArray[np.int64], place: float) -> float:
    """How far behind the grid the onsets lie on the whole, -place / 2 .. place / 2, in ticks.

    0 where the onsets gather at no one phase, as in swung or freely played music.

    Args:
        onsets: (N,) in ticks.
        place: ticks of one place of the grid.
    """
    angles = 2 * np.pi * onsets / place
    phase = float(np.angle(np.exp(1j * angles).mean())) / (2 * np.pi) * place
    before, after = (_distance(onsets / place - offset / place) for offset in (0.0, phase))
    clear = abs(phase) > LEAST_PHASE * place and after <= CLEAR_GAIN * before
    return phase if clear else 0.0


def _distance(places: NDArray[np.float64]) -> float:
    """Mean distance from the nearest place of the grid, in places."""
    return float(np.abs(places - np.round(places)).mean())
