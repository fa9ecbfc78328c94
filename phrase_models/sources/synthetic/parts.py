"""Accompaniment of composed songs: piano patterns and what the bridge track plays.

Like the melody, parts are written in C major / A minor, in steps from the start of their section.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from phrase_models.score.song import SIXTEENTH, STEPS_PER_BAR, Note
from phrase_models.sources.synthetic.harmony import Chord, chance, chord_at, pick
from phrase_models.sources.synthetic.melody import (
    CALM_CELLS,
    FLOWING_CELLS,
    SIXTEENTHS_PER_BAR,
    LineStyle,
    degree_of,
    pitch_of,
    write_line,
)

BridgeMode = Literal["none", "pad", "counter", "fill", "arpeggio", "thirds", "lead"]

PatternEvent = tuple[int, int, str]
"""Onset and duration in 16ths, voices: B bass, O its octave, F its fifth, 1 2 3 the right hand's
notes from below, 4 the lowest an octave up, C all three."""

LIGHT_PATTERNS: Final[dict[str, tuple[PatternEvent, ...]]] = {
    "sustained": ((0, 16, "BO"), (0, 14, "C"), (8, 8, "3"), (12, 4, "2")),
    "half_block": ((0, 8, "BOC"), (8, 8, "BC"), (14, 2, "F")),
    "arpeggio": (
        *((0, 4, "B"), (2, 2, "F"), (4, 2, "O"), (6, 2, "1"), (8, 2, "2"), (10, 2, "3")),
        *((12, 2, "2"), (14, 2, "1"), (0, 8, "3"), (8, 4, "B")),
    ),
    "broken": (
        *((0, 6, "B"), (2, 2, "F"), (4, 3, "O"), (6, 2, "C")),
        *((8, 6, "B"), (10, 2, "F"), (12, 3, "O"), (14, 2, "C")),
    ),
    "ballad": (
        *((0, 3, "B3"), (2, 2, "F"), (4, 3, "OC"), (6, 2, "F")),
        *((8, 3, "B"), (10, 2, "F"), (12, 3, "OC"), (14, 2, "F")),
    ),
}
FULL_PATTERNS: Final[dict[str, tuple[PatternEvent, ...]]] = {
    "block": ((0, 3, "BC"), (4, 3, "C"), (6, 2, "O"), (8, 3, "BC"), (12, 3, "C"), (14, 2, "F")),
    "alberti": (
        *((0, 7, "B"), (8, 7, "B"), (0, 4, "4"), (8, 4, "4")),
        *((onset, 1, "1323"[onset % 4]) for onset in range(16)),
    ),
    "eighths": (
        *((0, 3, "B"), (4, 3, "O"), (8, 3, "B"), (12, 3, "O")),
        *((onset, 2, ("12", "3")[onset // 2 % 2]) for onset in range(0, 16, 2)),
    ),
    "syncopated": (
        *((0, 3, "BC"), (3, 3, "C"), (6, 2, "O"), (8, 2, "B")),
        *((10, 3, "C"), (13, 1, "F"), (14, 3, "C")),
    ),
    "tresillo": (
        *((0, 3, "BC"), (3, 2, "F"), (6, 2, "C"), (8, 3, "BO")),
        *((10, 1, "F"), (11, 2, "C"), (14, 2, "C")),
    ),
    "rock": (
        *((0, 2, "BOC"), (2, 2, "3"), (4, 2, "C"), (6, 2, "B")),
        *((8, 2, "BC"), (10, 2, "3"), (12, 2, "OC"), (14, 1, "B"), (15, 1, "F")),
    ),
    "rolling": (
        *((0, 4, "B4"), (2, 2, "F"), (3, 1, "1"), (4, 3, "OC"), (6, 2, "2"), (7, 1, "3")),
        *((8, 4, "B"), (10, 2, "F"), (11, 1, "1"), (12, 3, "OC"), (14, 2, "2"), (15, 1, "3")),
    ),
}
PATTERNS: Final = {**LIGHT_PATTERNS, **FULL_PATTERNS}
LOWEST_BASS: Final = 36
FILL_RUNS: Final = ((8, 10, 12, 14), (4, 6, 8, 10, 12, 14), (8, 9, 10, 11, 12, 14), (10, 12, 14))


def voice_chord(chord: Chord, centre: float) -> tuple[int, int, int]:
    """Three notes of a chord, ascending within an octave, as near to `centre` as can be."""
    members = chord.pitch_classes
    if len(members) == 4:
        members = (members[0], members[1], members[3])
    candidates: list[tuple[int, int, int]] = []
    for first in range(3):
        low, middle, high = members[first:] + members[:first]
        for octave in range(3, 7):
            start = 12 * octave + low
            above = start + (middle - low) % 12
            candidates.append((start, above, above + (high - middle) % 12))
    return min(candidates, key=lambda notes: (abs(sum(notes) / 3 - centre), notes))


def _voices(chord: Chord, centre: float) -> dict[str, tuple[int, ...]]:
    low, middle, high = voice_chord(chord, centre)
    bass = LOWEST_BASS + (chord.bass - LOWEST_BASS) % 12
    above = [bass + (member - chord.bass) % 12 for member in chord.pitch_classes]
    fifth = min(above, key=lambda pitch: (abs(pitch - bass - 7), pitch))
    return {
        "B": (bass,),
        "O": (bass + 12,),
        "F": (fifth,),
        "1": (low,),
        "2": (middle,),
        "3": (high,),
        "4": (low + 12,),
        "C": (low, middle, high),
    }


def write_piano(
    generator: np.random.Generator,
    bars: Sequence[tuple[Chord, ...]],
    pattern: str,
    centre: float,
    variation: float,
) -> tuple[Note, ...]:
    """Write the piano of a section in one pattern.

    Args:
        generator: source of all choices.
        bars: chords of every bar.
        pattern: a name of PATTERNS.
        centre: mean pitch that the right hand keeps near.
        variation: chance that a bar drops or adds something.

    Returns:
        Notes in steps from the start of the section; may repeat a pitch at one onset.
    """
    notes: list[Note] = []
    for bar, chords in enumerate(bars):
        events = list(PATTERNS[pattern])
        if len(chords) > 1 and not any(onset == 8 and "B" in voices for onset, _, voices in events):
            events.append((8, 6, "B"))
        if chance(generator, variation):
            events = _vary_events(generator, events)
        notes += _play_events(events, chords, bar, centre)
    return tuple(notes)


def _vary_events(generator: np.random.Generator, events: list[PatternEvent]) -> list[PatternEvent]:
    """Add a note between, double a note, or leave out something that is not the bass."""
    kind = pick(generator, ("add", "add", "ornament", "drop"))
    movable = [index for index, event in enumerate(events) if "B" not in event[2]]
    if kind == "drop" and len(movable) > 2:
        dropped = pick(generator, movable)
        return [event for index, event in enumerate(events) if index != dropped]
    if kind == "ornament":
        onset = 2 * int(generator.integers(4, 8))
        return [*events, (onset, 1, pick(generator, "123")), (onset + 1, 1, pick(generator, "234"))]
    onset = int(generator.integers(1, 8)) * 2
    return [*events, (onset, 2, pick(generator, ("4", "3", "2", "O", "C")))]


def _play_events(
    events: Sequence[PatternEvent], chords: tuple[Chord, ...], bar: int, centre: float
) -> list[Note]:
    voices = {chord: _voices(chord, centre) for chord in chords}
    notes: list[Note] = []
    for onset, written, names in events:
        chord = chord_at(chords, onset / 4)
        changes = onset < 8 < onset + written and len(chords) > 1
        duration = 8 - onset if changes else written
        start = bar * STEPS_PER_BAR + onset * SIXTEENTH
        notes += [
            Note(start, pitch, duration * SIXTEENTH)
            for name in names
            for pitch in voices[chord][name]
        ]
    return notes


def write_final_chord(chord: Chord, bar: int, centre: float) -> tuple[Note, ...]:
    """A held chord over one whole bar, the end of a song."""
    return tuple(_play_events([(0, SIXTEENTHS_PER_BAR, "BOC")], (chord,), bar, centre))


def write_bridge(
    generator: np.random.Generator,
    bars: Sequence[tuple[Chord, ...]],
    mode: BridgeMode,
    centre: int,
    melody: Sequence[Note],
) -> tuple[Note, ...]:
    """Write the bridge track of a section.

    Args:
        generator: source of all choices.
        bars: chords of every bar.
        mode: what it plays: nothing, held notes, a second line, fills where the melody rests,
            broken chords, the melody a third lower, or the tune itself (sections without singing).
        centre: scale degree it keeps near (35 is middle C).
        melody: melody of the section.

    Returns:
        Notes in steps from the start of the section.
    """
    if mode == "pad":
        return _write_pad(generator, bars, centre)
    if mode == "arpeggio":
        return _write_arpeggio(generator, bars, centre)
    if mode == "fill":
        return _write_fills(generator, bars, centre, melody)
    if mode == "thirds":
        return tuple(replace(note, pitch=pitch_of(degree_of(note.pitch) - 2)) for note in melody)
    if mode in ("counter", "lead"):
        lively = mode == "lead" and chance(generator, 0.65)
        cells = (*FLOWING_CELLS, *CALM_CELLS) if lively else CALM_CELLS
        return write_line(generator, bars, LineStyle(centre, cells, 0.06))
    return ()


def _write_pad(
    generator: np.random.Generator, bars: Sequence[tuple[Chord, ...]], centre: int
) -> tuple[Note, ...]:
    num_voices = pick(generator, (1, 1, 2, 2, 3))
    per_chord = pick(generator, (1, 1, 2))
    notes: list[Note] = []
    for bar, chords in enumerate(bars):
        onset = bar * STEPS_PER_BAR
        for chord in chords:
            voices = voice_chord(chord, pitch_of(centre))[-num_voices:]
            length = chord.num_beats * STEPS_PER_BAR // 4 // per_chord
            for _ in range(per_chord):
                notes += [Note(onset, pitch, length) for pitch in voices]
                onset += length
    return tuple(notes)


def _write_arpeggio(
    generator: np.random.Generator, bars: Sequence[tuple[Chord, ...]], centre: int
) -> tuple[Note, ...]:
    order = pick(generator, ((0, 1, 2, 1), (0, 1, 2, 3), (2, 1, 0, 1), (0, 2, 1, 2)))
    stride = pick(generator, (1, 2, 2))
    notes: list[Note] = []
    for bar, chords in enumerate(bars):
        for index, onset in enumerate(range(0, SIXTEENTHS_PER_BAR, stride)):
            low, middle, high = voice_chord(chord_at(chords, onset / 4), pitch_of(centre))
            pitch = (low, middle, high, low + 12)[order[index % 4]]
            start = bar * STEPS_PER_BAR + onset * SIXTEENTH
            notes.append(Note(start, pitch, stride * SIXTEENTH))
    return tuple(notes)


def _write_fills(
    generator: np.random.Generator,
    bars: Sequence[tuple[Chord, ...]],
    centre: int,
    melody: Sequence[Note],
) -> tuple[Note, ...]:
    """Runs in the bars where the melody has few notes, and at the end of every four bars."""
    run = pick(generator, FILL_RUNS)
    direction = pick(generator, (-1, 1))
    sung = np.bincount(
        [max(0, note.onset) // STEPS_PER_BAR for note in melody], minlength=len(bars)
    )
    notes: list[Note] = []
    for bar, chords in enumerate(bars):
        if sung[bar] > 3 and bar % 4 != 3:
            continue
        degree = centre - direction * len(run) // 2
        for index, onset in enumerate(run):
            until = run[index + 1] if index + 1 < len(run) else SIXTEENTHS_PER_BAR
            pitch = pitch_of(degree + direction * index)
            if index == 0:
                pitch = voice_chord(chord_at(chords, onset / 4), pitch)[1]
            start = bar * STEPS_PER_BAR + onset * SIXTEENTH
            notes.append(Note(start, pitch, (until - onset) * SIXTEENTH))
    return tuple(notes)
