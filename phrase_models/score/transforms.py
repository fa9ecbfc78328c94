"""Keys: every song to C major or A minor, and back."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from phrase_models.errors import ConfigurationError
from phrase_models.score.chords import transpose_chord
from phrase_models.score.song import Note, Song, Track

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
SIGNATURE_MARGIN = 0.05
"""Share of sounding time by which another key must fit better before a key signature is doubted:
most programs write C where nobody chose a key."""


def transpose(song: Song, semitones: int, *, fold: bool = False) -> Song:
    """The song and its chords so many semitones higher.

    `key_shift` follows, so that it can be undone, except where notes were folded.

    Args:
        song: what is moved.
        semitones: how far, down where negative.
        fold: put a note that would leave MIDI's 0..127 an octave back into it; for songs that are
            looked at and not written.

    Raises:
        ConfigurationError: if a note would leave MIDI's 0..127 and is not folded.
    """
    moved = _folded if fold else _shifted
    tracks = tuple(
        Track(track.program, tuple(moved(note, semitones) for note in track.notes))
        for track in song.tracks
    )
    chords = tuple(
        (transpose_chord(first, semitones), transpose_chord(second, semitones))
        for first, second in song.chords
    )
    return replace(song, tracks=tracks, key_shift=song.key_shift + semitones, chords=chords)


def _shifted(note: Note, semitones: int) -> Note:
    pitch = note.pitch + semitones
    if not 0 <= pitch <= 127:
        message = f"Transposing by {semitones} semitones takes pitch {note.pitch} out of 0..127."
        raise ConfigurationError(message)
    return replace(note, pitch=pitch)


def _folded(note: Note, semitones: int) -> Note:
    pitch = note.pitch + semitones
    if pitch > 127:
        return replace(note, pitch=127 - (127 - pitch) % 12)
    return replace(note, pitch=pitch if pitch >= 0 else pitch % 12)


def in_scale_share(tracks: Iterable[Track], major: int) -> float:
    """Share of sounding time within a major scale, over all tracks; 0 without notes."""
    histogram = np.zeros(12)
    for track in tracks:
        for note in track.notes:
            histogram[note.pitch % 12] += note.duration
    total = histogram.sum()
    scale = [(major + step) % 12 for step in MAJOR_SCALE]
    return float(histogram[scale].sum() / total) if total else 0.0


def choose_key(tracks: Sequence[Track], candidates: Sequence[int]) -> tuple[int, float]:
    """The relative major, among those annotated, that the notes fit best.

    Args:
        tracks: in the original key.
        candidates: pitch classes; the first wins ties.

    Returns:
        Pitch class and its share of sounding time in scale.
    """
    shares = [in_scale_share(tracks, major) for major in candidates]
    best = max(range(len(candidates)), key=lambda index: (shares[index], -index))
    return candidates[best], shares[best]


def key_of_notes(tracks: Sequence[Track], signature: int) -> tuple[int, float]:
    """The major key that a key signature says, or the one that the notes fit clearly better.

    Args:
        tracks: as they sound.
        signature: pitch class of the relative major.

    Returns:
        Pitch class and its share of sounding time in scale.
    """
    said = in_scale_share(tracks, signature)
    best, share = choose_key(tracks, [(signature + step) % 12 for step in range(12)])
    return (best, share) if share > said + SIGNATURE_MARGIN else (signature, said)


def shift_to_c(major: int) -> int:
    """Semitones from a major key to C, -6..5."""
    shift = -major
    return shift + 12 if shift < -6 else shift
