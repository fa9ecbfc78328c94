"""Songs -> REMI-z tokens, all notes of a song at once.

What `encode` makes of each phrase of `song_to_bars`, several times as fast.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from phrase_models.score.song import MAX_DURATION, ROLE_PROGRAMS, STEPS_PER_BAR, Song
from phrase_models.tokens.vocabulary import (
    END_OF_BAR,
    FIRST_DURATION,
    FIRST_ONSET,
    FIRST_PITCH,
    FIRST_PROGRAM,
    NUM_PROGRAMS,
)

IntArray = NDArray[np.int64]

PROGRAM_RANKS = tuple(
    ROLE_PROGRAMS.index(program) if program in ROLE_PROGRAMS else len(ROLE_PROGRAMS) + program
    for program in range(NUM_PROGRAMS)
)
"""Place of each program among phrases that tie: roles first, in their order, then by number."""
_RANKS = np.array(PROGRAM_RANKS)
_PITCH_BITS = _DURATION_BITS = 7


@dataclass(frozen=True, slots=True)
class SongTokens:
    """All tokens of a song, and where its phrases are in them, in the order of the tokens.

    Attributes:
        ids: of all tokens (N,); every bar ends in the end of bar.
        bars: bar of each phrase (P,).
        programs: of each phrase (P,).
        starts: index of the first token of each phrase (P,).
        ends: index after the last (P,).
        num_notes: of each phrase (P,).
        mean_pitches: of each phrase (P,).
    """

    ids: IntArray
    bars: IntArray
    programs: IntArray
    starts: IntArray
    ends: IntArray
    num_notes: IntArray
    mean_pitches: NDArray[np.float64]


def encode_song(song: Song) -> SongTokens:
    """Tokens of a song.

    Raises:
        ValueError: if a note lies outside the bars of the song.
    """
    sizes = [len(track.notes) for track in song.tracks]
    onsets, pitches, durations = _note_fields(song)
    bars, onsets = np.divmod(onsets, STEPS_PER_BAR)
    if len(bars) and not (bars.min() >= 0 and bars.max() < song.num_bars):
        outside = int(bars[(bars < 0) | (bars >= song.num_bars)][0])
        message = f"song {song.song_id!r} of {song.num_bars} bars has notes in {outside}"
        raise ValueError(message)
    # One number for each note, whose order is that of REMI-z within the phrases of each track.
    parts = np.repeat(np.arange(len(sizes)), sizes) * song.num_bars + bars
    order = (parts * STEPS_PER_BAR + onsets) << (_PITCH_BITS + _DURATION_BITS)
    order += (127 - pitches) << _DURATION_BITS
    order += MAX_DURATION - np.minimum(durations, MAX_DURATION)
    order.sort()
    places = order >> _DURATION_BITS
    order = order[_changes(places)]  # of equal onset and pitch, the longest
    durations = MAX_DURATION - (order & 127)
    pitches = 127 - (order >> _DURATION_BITS & 127)
    places = order >> (_PITCH_BITS + _DURATION_BITS)
    new_onset = _changes(places)
    parts, onsets = np.divmod(places, STEPS_PER_BAR)
    return _lay_out(song, parts, onsets, pitches, durations, new_onset)


def _note_fields(song: Song) -> tuple[IntArray, IntArray, IntArray]:
    """Onsets, pitches and durations (N,) of all notes, track after track."""
    notes = list(chain.from_iterable(track.notes for track in song.tracks))
    number = len(notes)
    return (
        np.fromiter([note.onset for note in notes], np.int64, number),
        np.fromiter([note.pitch for note in notes], np.int64, number),
        np.fromiter([note.duration for note in notes], np.int64, number),
    )


def _changes(values: IntArray) -> NDArray[np.bool_]:
    """Whether each of the values (N,) is another one than that before it; the first one is."""
    changes = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def _lay_out(
    song: Song,
    parts: IntArray,
    onsets: IntArray,
    pitches: IntArray,
    durations: IntArray,
    new_onset: NDArray[np.bool_],
) -> SongTokens:
    """Tokens of sorted notes.

    Args:
        song: whose they are.
        parts: track index times bars plus bar, of each note (N,).
        onsets: steps within the bar (N,).
        pitches: of the notes (N,).
        durations: in steps (N,).
        new_onset: whether a note is the first of its onset (N,).
    """
    firsts = np.flatnonzero(_changes(parts))
    counts = np.diff(firsts, append=len(parts))
    tracks, bars = np.divmod(parts[firsts], max(song.num_bars, 1))
    programs = np.array([track.program for track in song.tracks], np.int64)[tracks]
    sums = np.add.reduceat(pitches, firsts) if len(firsts) else firsts
    means = sums / counts
    onsets_before = np.cumsum(new_onset)  # of this note included
    num_onsets = np.diff(onsets_before[firsts], append=new_onset.sum() + 1)
    lengths = 1 + num_onsets + 2 * counts
    ranks = np.lexsort((_RANKS[programs], onsets[firsts], -means, bars))
    starts = np.empty_like(firsts)
    starts[ranks] = np.cumsum(lengths[ranks]) - lengths[ranks] + bars[ranks]
    ids = np.full(int(lengths.sum()) + song.num_bars, END_OF_BAR, np.int64)
    ids[starts] = FIRST_PROGRAM + programs
    # A note stands behind its program, the onsets up to its own, and two tokens a note before.
    shift = starts + 2 - 2 * firsts - onsets_before[firsts]
    positions = np.repeat(shift, counts) + 2 * np.arange(len(parts)) + onsets_before
    ids[positions] = FIRST_PITCH + pitches
    ids[positions + 1] = FIRST_DURATION - 1 + durations
    ids[positions[new_onset] - 1] = FIRST_ONSET + onsets[new_onset]
    return SongTokens(
        ids,
        bars[ranks],
        programs[ranks],
        starts[ranks],
        (starts + lengths)[ranks],
        counts[ranks],
        means[ranks],
    )
