"""Songs <-> binary piano rolls (C, S, P): planes, sixteenths, pitches.

What a roll cannot hold is counted in a `RollReport`, and whoever makes rolls says it: pitches out
of range, places between sixteenths, notes beyond the last bar, velocities, and in the reference's
forms also repeated notes (one plane of sounding steps) and the roles (flattened voices).
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from phrase_models.binomial.config import STEPS_PER_ROLL_BAR, RollConfig
from phrase_models.score.grid import clean_track
from phrase_models.score.song import (
    MAX_DURATION,
    PIANO,
    ROLE_PROGRAMS,
    SIXTEENTH,
    Note,
    Section,
    Song,
    Track,
)

Roll = NDArray[np.bool_]
LONGEST_RUN = -(-MAX_DURATION // SIXTEENTH)
"""Steps of the longest note: it was cut to 127, no multiple of a sixteenth, and comes back so."""


@dataclass(frozen=True, slots=True)
class RollReport:
    """What became of the notes of songs on their way into rolls.

    Attributes:
        num_notes: that there were.
        num_outside: dropped, for their pitch is not in the roll.
        num_beyond: dropped, for they begin after the last bar.
        num_moved: onset or end moved to the next sixteenth.
        num_merged: joined with a note of the same pitch, or cut short by it.
    """

    num_notes: int = 0
    num_outside: int = 0
    num_beyond: int = 0
    num_moved: int = 0
    num_merged: int = 0

    def __add__(self, other: Self) -> "RollReport":
        """The counts of both."""
        return RollReport(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def sentence(self, config: RollConfig) -> str:
        """What was lost, in one sentence; empty where nothing was."""
        highest = config.lowest_pitch + config.num_pitches - 1
        parts = (
            (self.num_outside, f"outside the pitches {config.lowest_pitch} to {highest} dropped"),
            (self.num_beyond, "after the last bar dropped"),
            (self.num_moved, "moved to a sixteenth"),
            (self.num_merged, "joined with another of their pitch"),
        )
        lost = [f"{count} {words}" for count, words in parts if count]
        return f"Of {self.num_notes} notes: {', '.join(lost)}." if lost else ""


def song_to_roll(song: Song, config: RollConfig) -> tuple[Roll, RollReport]:
    """The roll of a whole song.

    Args:
        song: any; tracks of programs that are no role play in the piano's planes.
        config: what the cells are.

    Returns:
        (C, S, P) bool with S = 16 num_bars, and what became of the notes. A note that reaches over
        the last bar ends with it.
    """
    num_steps = song.num_bars * STEPS_PER_ROLL_BAR
    voices: list[list[Note]] = [[] for _ in range(config.num_voices)]
    for track in song.tracks:
        known = config.voices == "roles" and track.program in ROLE_PROGRAMS
        default = config.num_voices - 1
        voices[ROLE_PROGRAMS.index(track.program) if known else default] += track.notes
    roll = np.zeros((config.num_planes, num_steps, config.num_pitches), np.bool_)
    report = RollReport()
    for index, notes in enumerate(voices):
        first = index * config.planes_per_voice
        report += _fill(roll[first : first + config.planes_per_voice], notes, config)
    return roll, report


def _fill(planes: Roll, notes: Iterable[Note], config: RollConfig) -> RollReport:
    """Write the notes of one voice into its planes."""
    num_steps = planes.shape[1]
    onsets, holds = np.zeros((2, *planes.shape[1:]), np.bool_)
    outside = beyond = moved = merged = count = 0
    for note in sorted(notes):
        count += 1
        pitch = note.pitch - config.lowest_pitch
        if not 0 <= pitch < config.num_pitches:
            outside += 1
            continue
        start, off_start = divmod(note.onset + SIXTEENTH // 2, SIXTEENTH)
        length = LONGEST_RUN
        off_length = SIXTEENTH // 2
        if note.duration < MAX_DURATION:
            length, off_length = divmod(note.duration + SIXTEENTH // 2, SIXTEENTH)
        if start >= num_steps:
            beyond += 1
            continue
        moved += (off_start, off_length) != (SIXTEENTH // 2, SIXTEENTH // 2)
        end = min(start + max(1, length), num_steps)
        touched = start - 1 if config.cells == "sounding" else start
        sounding = onsets[max(0, touched) : end, pitch] | holds[max(0, touched) : end, pitch]
        merged += bool(sounding.any())
        onsets[start, pitch] = True
        holds[start + 1 : end, pitch] = True
    if config.cells == "sounding":
        planes[0] = onsets | holds
    else:
        planes[0], planes[1] = onsets, holds & ~onsets
    return RollReport(count, outside, beyond, moved, merged)


def roll_to_song(
    roll: Roll,
    config: RollConfig,
    *,
    song_id: str = "",
    sections: tuple[Section, ...] = (),
    tempo_bpm: float = 90.0,
) -> tuple[Song, int]:
    """The song of a roll; any roll has one.

    A note lasts from its onset as long as steps are held without a gap; held steps that no onset
    comes before are ignored, and an onset is no held step. Notes longer than `MAX_DURATION` end
    there.

    Args:
        roll: (C, S, P), S a multiple of 16.
        config: what the cells are; flattened voices come back as a piano.
        song_id: name.
        sections: of the song, as they are to be named.
        tempo_bpm: beats a minute.

    Returns:
        The song, and the number of held cells that were ignored.

    Raises:
        ValueError: if the shape is not that of a roll of whole bars.
    """
    num_planes, num_steps, num_pitches = roll.shape
    if (num_planes, num_pitches) != (config.num_planes, config.num_pitches) or (
        num_steps % STEPS_PER_ROLL_BAR
    ):
        message = f"a roll of shape {roll.shape} has not the planes, bars and pitches of {config}"
        raise ValueError(message)
    programs = ROLE_PROGRAMS if config.voices == "roles" else (PIANO,)
    tracks, ignored = [], 0
    for index, program in enumerate(programs):
        first = index * config.planes_per_voice
        notes, num_ignored = _notes(roll[first : first + config.planes_per_voice], config)
        ignored += num_ignored
        if notes:
            tracks.append(Track(program, clean_track(notes)))
    num_bars = num_steps // STEPS_PER_ROLL_BAR
    song = Song(song_id, num_bars, tuple(tracks), sections, tempo_bpm)
    return song, ignored


def _notes(planes: Roll, config: RollConfig) -> tuple[list[Note], int]:
    """Notes of one voice, and its held cells without an onset."""
    if config.cells == "sounding":
        before = np.zeros_like(planes[0])
        before[1:] = planes[0, :-1]
        onsets, holds = planes[0] & ~before, planes[0] & before
    else:
        onsets, holds = planes[0], planes[1] & ~planes[0]
    num_steps = len(onsets)
    steps = np.arange(num_steps)[:, None]
    stops = np.full((num_steps + 1, onsets.shape[1]), num_steps)
    stops[:-1] = np.where(holds, num_steps, steps)
    stops = np.minimum.accumulate(stops[::-1], axis=0)[::-1]
    starts, pitches = np.nonzero(onsets)
    lengths = stops[starts + 1, pitches] - starts
    notes = [
        Note(start * SIXTEENTH, config.lowest_pitch + pitch, min(length * SIXTEENTH, MAX_DURATION))
        for start, pitch, length in zip(
            starts.tolist(), pitches.tolist(), lengths.tolist(), strict=True
        )
    ]
    return notes, int(holds.sum() - (lengths - 1).sum())


def pack_bars(roll: Roll) -> NDArray[np.uint8]:
    """A roll as one row of bits a bar: (N, C 16 P / 8) uint8."""
    planes, steps, pitches = roll.shape
    bars = roll.reshape(planes, steps // STEPS_PER_ROLL_BAR, STEPS_PER_ROLL_BAR, pitches)
    return np.packbits(bars.transpose(1, 0, 2, 3).reshape(bars.shape[1], -1), axis=1)


def unpack_bars(rows: NDArray[np.uint8], config: RollConfig) -> Roll:
    """The roll (C, 16 N, P) of rows that `pack_bars` made; P is a multiple of 8."""
    bits = np.unpackbits(rows, axis=1).view(np.bool_)
    bars = bits.reshape(len(rows), config.num_planes, STEPS_PER_ROLL_BAR, config.num_pitches)
    return bars.transpose(1, 0, 2, 3).reshape(config.num_planes, -1, config.num_pitches)
