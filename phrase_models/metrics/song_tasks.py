"""How well a hole in a song was filled, and how far a variation is from its song.

All but `kept_share` compare notes of the hole alone. Notes are those of songs on the grid of 48
steps a bar; they are equal if program, onset and pitch are, whatever their duration.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from phrase_models.metrics.song_features import in_scale_rate
from phrase_models.score.chords import DIMINISHED, MAJOR, MINOR, BarChords, chord_parts
from phrase_models.score.song import STEPS_PER_BAR, Note, Song, Track

TRIADS = {MAJOR: (0, 4, 7), MINOR: (0, 3, 7), DIMINISHED: (0, 3, 6)}
"""Semitones above the root; chords of any other quality say too little of their notes."""
STEPS_PER_CHORD = STEPS_PER_BAR // 2


@dataclass(frozen=True, slots=True)
class FillingScores:
    """Scores of one song; each is nan where nothing was there to be scored.

    Attributes:
        note_f1: of the notes of the hole against the original ones.
        in_scale_rate: share of the new notes in C major.
        chord_agreement: share of the new notes' sounding time on tones of the song's chords.
        density_error: |new - original| / original number of notes.
        kept_share: of the given notes that are there as they were.
    """

    note_f1: float
    in_scale_rate: float
    chord_agreement: float
    density_error: float
    kept_share: float


SCORE_NAMES = tuple(field.name for field in fields(FillingScores))


def score_filling(original: Song, given: Song, filled: Song) -> FillingScores:
    """Compare a filled song with the one that the hole was made in.

    Args:
        original: in C major or A minor, with its chords where they are known.
        given: its notes outside of the hole.
        filled: what came back, whole.
    """
    target, output = without(original, given), without(filled, given)
    return FillingScores(
        note_f1(target, output),
        in_scale_rate(output),
        chord_agreement(output, original.chords),
        density_error(target, output),
        kept_share(given, filled),
    )


def without(song: Song, given: Song) -> Song:
    """A song without the notes of another: of program, onset and pitch, each once."""
    left = Counter(_keys(given))
    tracks = []
    for track in song.tracks:
        notes = []
        for note in track.notes:
            key = track.program, note.onset, note.pitch
            if left[key]:
                left[key] -= 1
            else:
                notes.append(note)
        tracks.append(Track(track.program, tuple(notes)))
    return replace(song, tracks=tuple(tracks))


def _keys(song: Song) -> list[tuple[int, int, int]]:
    return [
        (track.program, note.onset, note.pitch) for track in song.tracks for note in track.notes
    ]


def note_f1(target: Song, output: Song) -> float:
    """2 matched / (target notes + output notes), matched in program, onset and pitch.

    Undefined (nan): no notes on either side.
    """
    total = target.num_notes + output.num_notes
    matched = (Counter(_keys(target)) & Counter(_keys(output))).total()
    return 2 * matched / total if total else math.nan


def distance(song: Song, variation: Song) -> float:
    """1 - note F1 of two whole songs: 0 for the same notes, 1 for none in common.

    Undefined (nan): no notes on either side.
    """
    return 1 - note_f1(song, variation)


def chord_agreement(song: Song, chords: Sequence[BarChords]) -> float:
    """Share of the notes' sounding time, while a triad is known, that is on its tones.

    Weighed by duration: a long note counts as much as it sounds, and for every half bar that it
    sounds in by the chord of that half bar. Time without a known major, minor or diminished chord
    does not count.

    Args:
        song: in the key of the chords.
        chords: ids of both halves of each bar (`phrase_models.score.chords`).

    Undefined (nan): no note sounds while a triad is known.
    """
    halves = [_tones(chord) for bar in chords for chord in bar]
    agreed = total = 0
    for track in song.tracks:
        for note in track.notes:
            for half, steps in _steps_in_halves(note):
                if half < len(halves) and halves[half]:
                    total += steps
                    agreed += steps * (note.pitch % 12 in halves[half])
    return agreed / total if total else math.nan


def _tones(chord: int) -> frozenset[int]:
    """Pitch classes of a triad; none where there is no chord, or one of another quality."""
    parts = chord_parts(chord)
    if parts is None:
        return frozenset()
    root, quality = parts
    return frozenset((root + step) % 12 for step in TRIADS.get(quality, ()))


def _steps_in_halves(note: Note) -> list[tuple[int, int]]:
    """Half bars that a note sounds in, counted from the first, with the steps in each."""
    end = note.onset + note.duration
    return [
        (
            half,
            min(end, (half + 1) * STEPS_PER_CHORD) - max(note.onset, half * STEPS_PER_CHORD),
        )
        for half in range(note.onset // STEPS_PER_CHORD, (end - 1) // STEPS_PER_CHORD + 1)
    ]


def density_error(target: Song, output: Song) -> float:
    """|output notes - target notes| / target notes.

    Undefined (nan): no target notes.
    """
    if not target.num_notes:
        return math.nan
    return abs(output.num_notes - target.num_notes) / target.num_notes


def kept_share(given: Song, filled: Song) -> float:
    """Share of the given notes that are there with program, onset, pitch, duration and velocity.

    Undefined (nan): nothing was given.
    """
    wanted, there = (
        Counter((track.program, note) for track in song.tracks for note in track.notes)
        for song in (given, filled)
    )
    return (wanted & there).total() / given.num_notes if given.num_notes else math.nan
