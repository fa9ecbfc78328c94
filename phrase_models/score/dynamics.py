"""Velocities for notes that have none of their own, as the songs of POP909 have them.

The figures are those of 864 songs: the mean velocity of each part, and by how much a note is louder
for each semitone above the mean pitch of its part and for each doubling of the notes in its bar
(least squares over all notes; they explain 10 % of the variance of the melody, 5 % of the bridge
and 7 % of the piano).
"""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from statistics import fmean

from phrase_models.score.song import BRIDGE, MELODY, PIANO, STEPS_PER_BAR, Note, Song, Track

_MOST_CHANGE = 20
"""Most that a note may be away from the mean of its part: some 1.5 to 2 standard deviations."""


@dataclass(frozen=True, slots=True)
class _PartDynamics:
    """Velocities: mean of a part, more a semitone, more for twice as many notes in the bar."""

    mean: float
    a_semitone: float
    a_doubling: float


_DYNAMICS = {
    MELODY: _PartDynamics(96, 0.66, -0.8),
    BRIDGE: _PartDynamics(90, 0.33, -1.3),
    PIANO: _PartDynamics(82, 0.27, 6.6),
}


def with_dynamics(song: Song, given: Song | None = None) -> Song:
    """The song with velocities by part, pitch and fullness of the bar; nothing else changes.

    Args:
        song: any; parts of other programs than the three roles keep their velocities.
        given: notes of the song that keep theirs; the others are as loud as suits them.
    """
    level = 0.0 if given is None else _level(given)
    kept = {} if given is None else {track.program: set(track.notes) for track in given.tracks}
    tracks = (_played(track, kept.get(track.program, set()), level) for track in song.tracks)
    return replace(song, tracks=tuple(tracks))


def _level(given: Song) -> float:
    """By how much given notes are louder than those of POP909, in the mean; 0 without notes."""
    louder = [
        note.velocity - _DYNAMICS[track.program].mean
        for track in given.tracks
        if track.program in _DYNAMICS
        for note in track.notes
    ]
    return fmean(louder) if louder else 0.0


def _played(track: Track, kept: Collection[Note], level: float) -> Track:
    part = _DYNAMICS.get(track.program)
    if part is None or not track.notes:
        return track
    bars = Counter(note.onset // STEPS_PER_BAR for note in track.notes)
    fullness = {bar: math.log2(count) for bar, count in bars.items()}
    mean_pitch = fmean(note.pitch for note in track.notes)
    mean_fullness = fmean(fullness[note.onset // STEPS_PER_BAR] for note in track.notes)

    def played(note: Note) -> Note:
        if note in kept:
            return note
        change = part.a_semitone * (note.pitch - mean_pitch)
        change += part.a_doubling * (fullness[note.onset // STEPS_PER_BAR] - mean_fullness)
        velocity = part.mean + level + min(max(change, -_MOST_CHANGE), _MOST_CHANGE)
        return replace(note, velocity=min(max(round(velocity), 1), 127))

    return replace(track, notes=tuple(map(played, track.notes)))
