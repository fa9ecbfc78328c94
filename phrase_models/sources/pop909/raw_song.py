"""The MIDI file of a POP909 song with its beats and chords, in 16ths relative to the beat phase."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import BadMidiError
from phrase_models.score.grid import TempoMap, beat_phase, quantise
from phrase_models.score.midi_file import MidiFile
from phrase_models.score.midi_parser import parse_midi
from phrase_models.score.song import BRIDGE, MELODY, PIANO
from phrase_models.sources.pop909 import annotations
from phrase_models.sources.pop909.annotations import (
    MAX_BARS_READ,
    NO_ROOT,
    MissingFileError,
    TimedChord,
)

PROGRAMS = {"MELODY": MELODY, "BRIDGE": BRIDGE, "PIANO": PIANO}
SIXTEENTHS_PER_BAR = 16


@dataclass(frozen=True, slots=True)
class RawTrack:
    """Notes of one track in 16ths relative to the beat phase; four arrays of equal length."""

    program: int
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    pitches: NDArray[np.int64]
    velocities: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RawSong:
    """A MIDI file with what its own text files say, in 16ths relative to the beat phase."""

    tracks: tuple[RawTrack, ...]
    roots: NDArray[np.int64]
    first_sixteenth: int
    phase: float
    tempo_bpm: float


def read_raw_song(path: Path) -> RawSong:
    """A MIDI file with `beat_midi.txt` and `chord_midi.txt` from its folder.

    Raises:
        BadMidiError: if the file cannot be read or has no notes.
        BadAnnotationError: if a text file is missing or malformed.
    """
    if not path.is_file():
        message = f"File {path.name} of song {path.parent.name} is missing from {path.parent}."
        raise MissingFileError(message)
    beats = annotations.read_beats(path.parent / "beat_midi.txt")
    chords = annotations.read_timed_chords(path.parent / "chord_midi.txt")
    midi = parse_midi(path)
    if midi.cut_off:  # half a song would be learnt as a whole one
        message = f"File {path} is damaged: {midi.cut_off[0]} Mend it or leave the song out."
        raise BadMidiError(message)
    tempo = TempoMap.build(midi.tempos, midi.ticks_per_beat)
    phase = beat_phase(tempo.to_ticks(np.array(beats)), midi.ticks_per_beat)
    sixteenth = midi.ticks_per_beat / 4
    tracks = _read_tracks(midi, phase, sixteenth)
    if not tracks:
        message = f"File {path} has no notes on tracks MELODY, BRIDGE and PIANO."
        raise BadMidiError(message)
    if max(float(track.ends.max()) for track in tracks) > SIXTEENTHS_PER_BAR * MAX_BARS_READ:
        message = f"File {path} lasts more than {MAX_BARS_READ} bars, so it must be damaged."
        raise BadMidiError(message)
    roots, first = _sample_roots(chords, tempo, phase, sixteenth, path)
    bpm = tempo.median_bpm(float(midi.last_tick))
    return RawSong(tracks, roots, first, phase, bpm)


def _read_tracks(midi: MidiFile, phase: float, sixteenth: float) -> tuple[RawTrack, ...]:
    by_name = {track.name.upper(): track.notes for track in midi.tracks}
    tracks = []
    for name, program in PROGRAMS.items():
        if name in by_name:
            notes = by_name[name]
            places = ((notes[:, :2] - phase) / sixteenth).astype(np.float64)
            tracks.append(RawTrack(program, places[:, 0], places[:, 1], notes[:, 2], notes[:, 3]))
    return tuple(tracks)


def _sample_roots(
    chords: Sequence[TimedChord], tempo: TempoMap, phase: float, sixteenth: float, path: Path
) -> tuple[NDArray[np.int64], int]:
    """Chord root of every 16th, and the 16th of the first.

    Raises:
        BadMidiError: if the tempo makes more 16ths of the chords' seconds than any song has.
    """
    if not chords:
        return np.array([NO_ROOT]), 0
    times = np.array([(chord.start, chord.end) for chord in chords])
    places = quantise((tempo.to_ticks(times) - phase) / sixteenth)
    first, last = int(places.min()), int(places.max())
    if last - first > SIXTEENTHS_PER_BAR * MAX_BARS_READ:
        message = (
            f"The tempo of file {path} stretches its chords over more than {MAX_BARS_READ} bars "
            f"(up to {tempo.bpm.max():.0f} beats a minute); mend it or leave the song out."
        )
        raise BadMidiError(message)
    roots = np.full(last - first + 1, NO_ROOT, np.int64)
    for (start, end), chord in zip(places.tolist(), chords, strict=True):
        roots[start - first : end - first] = chord.root
    return roots, first
