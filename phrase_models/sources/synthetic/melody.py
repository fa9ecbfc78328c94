"""Melodic lines of composed songs: rhythmic motifs over chords, pick-ups and small variations.

Lines are written in C major / A minor, in steps from the start of their section (pick-ups lie
before it, at negative onsets), and are monophonic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from phrase_models.score.song import SIXTEENTH, STEPS_PER_BAR, Note
from phrase_models.sources.synthetic.harmony import Chord, chance, chord_at, pick

SIXTEENTHS_PER_BAR: Final = STEPS_PER_BAR // SIXTEENTH
MAJOR_SCALE: Final = (0, 2, 4, 5, 7, 9, 11)
PICKUPS: Final = ((14,), (12, 14), (10, 12, 14), (13, 14, 15), (12, 13, 14, 15), (14, 15))
LONGEST_NOTE: Final = 12  # sixteenths
LINE_RANGE: Final = 6  # scale degrees to both sides of the centre

FLOWING_CELLS: Final = (
    (0, 2, 4, 6),
    (0, 2, 4, 6),
    (2, 4, 6),
    (0, 2, 4),
    (0, 2, 3, 4, 6),
    (0, 4, 6),
    (0, 2, 6),
    (0, 3, 6),
    (2, 4, 6, 7),
    (0, 1, 2, 4, 6),
    (4, 6),
)
CALM_CELLS: Final = ((0, 4), (0, 4, 6), (0,), (0, 3, 6), (0, 6), (2, 4), (0, 2, 4), (2, 6), ())
CADENCE_BARS: Final = ((0,), (0, 2), (0, 2, 4), (0, 4), (0, 2, 4, 8), (2, 4), (0, 3), (0, 2, 3, 6))
STEPS_OF_CONTOUR: Final = (-2, -1, -1, -1, 0, 0, 1, 1, 1, 2, 3, -3)


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How a melodic line moves.

    Attributes:
        centre: scale degree the line keeps returning to (7 a octave, 35 is middle C).
        cells: onsets within a half bar, in 16ths, to build rhythms from.
        rest_probability: share of bars in which the line pauses.
    """

    centre: int
    cells: tuple[tuple[int, ...], ...]
    rest_probability: float = 0.03


@dataclass(frozen=True, slots=True)
class MotifNote:
    """One note of a motif: onset in 16ths, step in degrees from the note before, hold 0..1."""

    onset: int
    step: int
    hold: float


Motif = tuple[MotifNote, ...]


def degree_of(pitch: float) -> int:
    """The scale degree at or below a pitch (35 is middle C)."""
    octave, pitch_class = divmod(int(pitch), 12)
    return 7 * octave + sum(step <= pitch_class for step in MAJOR_SCALE) - 1


def pitch_of(degree: int) -> int:
    """The MIDI pitch of a scale degree of C major (35 is middle C)."""
    octave, step = divmod(degree, 7)
    return 12 * octave + MAJOR_SCALE[step]


def write_line(
    generator: np.random.Generator, bars: Sequence[tuple[Chord, ...]], style: LineStyle
) -> tuple[Note, ...]:
    """Write a line over the chords of a section from a few motifs that come back.

    Four bars read motif, answer, motif, third idea or cadence; a bar that meets the same motif
    and chords as an earlier one repeats it literally, under other chords it becomes a sequence.

    Args:
        generator: source of all choices.
        bars: chords of every bar.
        style: register, rhythm cells, share of resting bars.

    Returns:
        Notes in steps from the start of the section, monophonic.
    """
    motifs = [_write_motif(generator, style.cells) for _ in range(4)]
    cadences = [_write_cadence(generator) for _ in range(2)]
    placed: dict[tuple[int, tuple[Chord, ...]], list[tuple[int, int, float]]] = {}
    line: list[tuple[int, int, float]] = []
    degree = style.centre + int(generator.integers(-2, 3))
    for bar, chords in enumerate(bars):
        idea = _idea_of_bar(bar, len(bars))
        if idea < len(motifs) and chance(generator, style.rest_probability):
            continue
        if (idea, chords) not in placed:
            motif = motifs[idea] if idea < len(motifs) else cadences[idea - len(motifs)]
            placed[idea, chords] = _place_motif(motif, chords, degree, style.centre)
        start = bar * SIXTEENTHS_PER_BAR
        line += [(start + onset, pitch, hold) for onset, pitch, hold in placed[idea, chords]]
        if placed[idea, chords]:
            degree = degree_of(placed[idea, chords][-1][1])
    return _hold_notes(line, len(bars) * SIXTEENTHS_PER_BAR)


def _idea_of_bar(bar: int, num_bars: int) -> int:
    """0..3 a motif, 4 a half cadence, 5 the closing cadence."""
    if bar == num_bars - 1 and num_bars > 1:
        return 5
    group, place = divmod(bar, 4)
    return ((0, 1, 0, 4), (0, 1, 2, 3))[group % 2][place]


def _write_motif(generator: np.random.Generator, cells: tuple[tuple[int, ...], ...]) -> Motif:
    onsets = [*pick(generator, cells), *(8 + onset for onset in pick(generator, cells))]
    return _with_contour(generator, onsets or [0, 8])


def _write_cadence(generator: np.random.Generator) -> Motif:
    return _with_contour(generator, list(pick(generator, CADENCE_BARS)))


def _with_contour(generator: np.random.Generator, onsets: list[int]) -> Motif:
    return tuple(
        MotifNote(onset, pick(generator, STEPS_OF_CONTOUR), float(generator.random()))
        for onset in onsets
    )


def _place_motif(
    motif: Motif, chords: tuple[Chord, ...], degree: int, centre: int
) -> list[tuple[int, int, float]]:
    """Give a motif pitches: (onset in 16ths, pitch, hold), chord notes on the strong places."""
    placed: list[tuple[int, int, float]] = []
    for index, note in enumerate(motif):
        step = note.step
        if abs(degree + step - centre) > LINE_RANGE - 2 and (degree - centre) * step > 0:
            step = -step
        degree = max(centre - LINE_RANGE, min(centre + LINE_RANGE, degree + step))
        if note.onset % 8 == 0 or index == len(motif) - 1:
            degree = nearest_chord_degree(degree, chord_at(chords, note.onset / 4))
        placed.append((note.onset, pitch_of(degree), note.hold))
    return placed


def nearest_chord_degree(degree: int, chord: Chord) -> int:
    """The scale degree nearest to `degree` whose pitch belongs to the chord (lower one of two)."""
    members = chord.pitch_classes
    for distance in (0, -1, 1, -2, 2):
        if pitch_of(degree + distance) % 12 in members:
            return degree + distance
    return degree


def _hold_notes(line: list[tuple[int, int, float]], end: int) -> tuple[Note, ...]:
    """Turn onsets and hold (0 short .. 1 up to the next note) into notes in steps."""
    notes: list[Note] = []
    for index, (onset, pitch, hold) in enumerate(line):
        gap = (line[index + 1][0] if index + 1 < len(line) else end) - onset
        if gap <= 2:
            sixteenths = gap if hold > 0.65 else 1
        elif gap == 3:
            sixteenths = 1 + int(hold * 3)
        else:
            sixteenths = max(1, min(LONGEST_NOTE, round(gap * (0.25 + 0.75 * hold))))
        notes.append(Note(onset * SIXTEENTH, pitch, sixteenths * SIXTEENTH))
    return tuple(notes)


def write_pickup(
    generator: np.random.Generator, line: Sequence[Note], centre: int
) -> tuple[Note, ...]:
    """Write up-beat notes that walk into the first note of a line; onsets are negative."""
    onsets = pick(generator, PICKUPS)
    target = degree_of(line[0].pitch) if line else centre
    direction = pick(generator, (-1, 1))
    return tuple(
        Note(
            (onset - SIXTEENTHS_PER_BAR) * SIXTEENTH,
            pitch_of(target + direction * (len(onsets) - index)),
            SIXTEENTH,
        )
        for index, onset in enumerate(onsets)
    )


def vary_line(
    generator: np.random.Generator, line: Sequence[Note], probability: float
) -> tuple[Note, ...]:
    """Change at most one note a bar, in the given share of bars: its pitch, its length, or drop it.

    Args:
        generator: source of all choices.
        line: notes of the section as first heard.
        probability: chance of a change, for every bar that has notes.

    Returns:
        The varied line, still monophonic.
    """
    by_bar: dict[int, list[int]] = {}
    for index, note in enumerate(line):
        by_bar.setdefault(note.onset // STEPS_PER_BAR, []).append(index)
    varied: dict[int, tuple[Note, ...]] = {}
    for indices in by_bar.values():
        if chance(generator, probability):
            index = pick(generator, indices)
            varied[index] = _vary_note(generator, line[index], droppable=len(indices) > 2)
    return tuple(
        note for index, original in enumerate(line) for note in varied.get(index, (original,))
    )


def _vary_note(generator: np.random.Generator, note: Note, *, droppable: bool) -> tuple[Note, ...]:
    neighbour = pitch_of(degree_of(note.pitch) + pick(generator, (-1, 1)))
    kind = pick(generator, ("pitch", "pitch", "split", "shorten", "drop"))
    if kind == "drop" and droppable:
        return ()
    if kind == "split" and note.duration >= 2 * SIXTEENTH:
        first = note.duration // SIXTEENTH // 2 * SIXTEENTH
        second = Note(note.onset + first, neighbour, note.duration - first)
        return (replace(note, duration=first), second)
    if kind == "shorten" and note.duration > SIXTEENTH:
        return (replace(note, duration=note.duration - SIXTEENTH),)
    return (replace(note, pitch=neighbour),)


def join_monophonic(parts: Sequence[Sequence[Note]]) -> list[Note]:
    """Join lines of consecutive sections; a later line (its pick-up) cuts the earlier one short."""
    joined: list[Note] = []
    for part in parts:
        if not part:
            continue
        while joined and joined[-1].onset >= part[0].onset:
            joined.pop()
        if joined and joined[-1].onset + joined[-1].duration > part[0].onset:
            joined[-1] = replace(joined[-1], duration=part[0].onset - joined[-1].onset)
        joined += part
    return joined
