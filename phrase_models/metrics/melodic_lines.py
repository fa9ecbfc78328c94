"""Monophonic lines of a song: what a listener may hear as a melody, in whatever track it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from phrase_models.score.song import MELODY, ROLE_NAMES, STEPS_PER_BAR, Note, Track
from phrase_models.tokens.vocabulary import (
    END_OF_BAR,
    FIRST_ONSET,
    FIRST_PITCH,
    NUM_ONSETS,
    NUM_PITCHES,
)


@dataclass(frozen=True, slots=True)
class MelodicLine:
    """One note at a time.

    Attributes:
        name: such as "Melody" or "Piano, highest notes".
        onsets: steps from the start of the song, strictly rising, `(N,)` int.
        pitches: MIDI numbers, `(N,)` int.
    """

    name: str
    onsets: np.ndarray
    pitches: np.ndarray


def _line(name: str, notes: Iterable[tuple[int, int]]) -> MelodicLine:
    table = np.array(sorted(notes), dtype=np.int64).reshape(-1, 2)
    return MelodicLine(name, table[:, 0].copy(), table[:, 1].copy())


def outer_line(name: str, notes: Iterable[Note], *, highest: bool = True) -> MelodicLine:
    """The highest (or lowest) note of each onset."""
    chosen: dict[int, int] = {}
    for note in notes:
        other = chosen.get(note.onset, note.pitch)
        chosen[note.onset] = max(other, note.pitch) if highest else min(other, note.pitch)
    return _line(name, chosen.items())


def skyline(name: str, notes: Iterable[Note]) -> MelodicLine:
    """The highest note of each onset, unless a higher one of the line still sounds.

    So a melody above an accompaniment that moves under its long notes stays whole.
    """
    kept: list[tuple[int, int]] = []
    end = 0
    for note in sorted(notes, key=lambda note: (note.onset, -note.pitch, -note.duration)):
        if kept and (note.onset == kept[-1][0] or (note.onset < end and note.pitch < kept[-1][1])):
            continue
        kept.append((note.onset, note.pitch))
        end = note.onset + note.duration
    return _line(name, kept)


def melodic_lines(track: Track) -> list[MelodicLine]:
    """Of the melody its highest notes; of other tracks highest notes, skyline and lowest notes.

    A track without notes has no lines; a skyline that equals the highest notes is left out.
    """
    if not track.notes:
        return []
    name = ROLE_NAMES.get(track.program, f"Program {track.program}")
    if track.program == MELODY:
        return [outer_line(name, track.notes)]
    highest = outer_line(f"{name}, highest notes", track.notes)
    sounding = skyline(f"{name}, skyline", track.notes)
    lowest = outer_line(f"{name}, lowest notes", track.notes, highest=False)
    if len(sounding.onsets) == len(highest.onsets):
        return [highest, lowest]
    return [highest, sounding, lowest]


def line_of_tokens(name: str, tokens: Sequence[int]) -> MelodicLine:
    """The highest note of each onset of a melody written in tokens (`melody_tokens`)."""
    chosen: dict[int, int] = {}
    bar = onset = 0
    for token in tokens:
        if token == END_OF_BAR:
            bar += 1
        elif FIRST_ONSET <= token < FIRST_ONSET + NUM_ONSETS:
            onset = bar * STEPS_PER_BAR + token - FIRST_ONSET
        elif FIRST_PITCH <= token < FIRST_PITCH + NUM_PITCHES:
            chosen[onset] = max(chosen.get(onset, 0), token - FIRST_PITCH)
    return _line(name, chosen.items())
