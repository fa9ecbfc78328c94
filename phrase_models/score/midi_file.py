"""A MIDI file as plain values in ticks, before anybody asks what it means.

Nothing here knows roles, grids or songs.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MidiTrack:
    """What one channel plays in one track of a file.

    Attributes:
        number: of this track as people count them, from 1, over all that hold notes.
        name: of the track or, where it has none, of its instrument; "" where neither is there.
        channel: 0 to 15; 9 is for drums.
        program: General MIDI program at the first note, 0 where none was chosen; `has_program`.
        has_program: whether the file chose it.
        notes: (N, 4) of start, end, pitch and velocity, sorted by start, then pitch; ticks.
    """

    number: int
    name: str
    channel: int
    program: int
    has_program: bool
    notes: NDArray[np.int64]

    @property
    def is_drum(self) -> bool:
        """Whether the channel is that of drums."""
        return self.channel == 9


@dataclass(frozen=True, slots=True)
class MidiFile:
    """All of a file that music is made of.

    Attributes:
        ticks_per_beat: resolution.
        tracks: those with notes, in the order of the file.
        tempos: (tick, beats a minute), by tick; empty where none is given.
        meters: (tick, numerator, denominator), by tick.
        keys: (tick, name such as "Bb" or "Am"), by tick; without those that do not exist.
        markers: (tick, text), by tick.
        texts: text events at tick 0, in their order.
        last_tick: of the last event.
        mended: a plain sentence for each thing that was wrong and could be read all the same.
        cut_off: those of `mended` that say that a track could be read only up to a place.
    """

    ticks_per_beat: int
    tracks: tuple[MidiTrack, ...]
    tempos: tuple[tuple[int, float], ...] = ()
    meters: tuple[tuple[int, int, int], ...] = ()
    keys: tuple[tuple[int, str], ...] = ()
    markers: tuple[tuple[int, str], ...] = ()
    texts: tuple[str, ...] = ()
    last_tick: int = 0
    mended: tuple[str, ...] = field(default=())
    cut_off: tuple[str, ...] = field(default=())
