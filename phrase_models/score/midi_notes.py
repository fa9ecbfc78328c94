"""The stream of a MIDI file -> times of all events, and notes; all events at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phrase_models.score.midi_walk import PASSED, EventStream

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Events:
    """Every event of a stream, in its order; arrays of equal length but for the first.

    Attributes:
        first_of_track: index of the first event of each track (tracks + 1,), the number of all
            last.
        ends: place of the last byte of each in the stream, by which metas find their tick.
        ticks: from the start of the file.
        status: status byte that holds.
        first, second: data bytes.
    """

    first_of_track: IntArray
    ends: IntArray
    ticks: IntArray
    status: NDArray[np.uint8]
    first: NDArray[np.uint8]
    second: NDArray[np.uint8]

    def at(self, places: IntArray) -> IntArray:
        """Indices of the events that end at places of the stream."""
        return np.searchsorted(self.ends, places)


def decode_events(stream: EventStream) -> Events:
    """Read the stream that `walk_track` has written."""
    data = np.frombuffer(bytes(stream.data), np.uint8)
    low = np.flatnonzero(data < 0x80)
    deltas, first, second = low[0::3], low[1::3], low[2::3]
    starts = np.concatenate(([0], second[:-1] + 1)) if len(second) else second
    lengths = (data[deltas] & 0x7F).astype(np.int64)
    for index in range(1, 4):
        longer = np.flatnonzero(deltas - starts >= index)
        if not len(longer):
            break
        lengths[longer] += (data[deltas[longer] - index] & 0x7F).astype(np.int64) << (7 * index)
    status = data[first - 1]
    explicit = first - deltas == 2
    passed = explicit & (status == PASSED)
    newest = np.where(explicit & ~passed, np.arange(len(status)), 0)
    held = status[np.maximum.accumulate(newest)]
    held[passed] = PASSED
    ends_of_tracks = np.array([*stream.starts, len(data)])
    first_of_track = np.searchsorted(second, ends_of_tracks)
    ticks = np.cumsum(lengths)
    before = np.concatenate(([0], ticks))[first_of_track[:-1]]
    ticks -= np.repeat(before, np.diff(first_of_track))
    return Events(first_of_track, second, ticks, held, data[first], data[second])


@dataclass(frozen=True, slots=True)
class PairedNotes:
    """Notes of all tracks by track, channel, start and pitch.

    Attributes:
        part: 16 * track + channel of each note (N,).
        begins: index of the event that began it (N,).
        table: (N, 4) of start, end, pitch and velocity.
        never_ended: which of them no event ended (N,); they end with their track.
    """

    part: IntArray
    begins: IntArray
    table: IntArray
    never_ended: NDArray[np.bool_]


def pair_notes(events: Events) -> PairedNotes:
    """Join note-ons and note-offs.

    An off ends the note of its track, channel and pitch that sounds longest; one for which none
    sounds is passed over.
    """
    kind = events.status & 0xF0
    index = np.flatnonzero((kind == 0x80) | (kind == 0x90))
    is_on = (kind[index] == 0x90) & (events.second[index] > 0)
    track = np.repeat(np.arange(len(events.first_of_track) - 1), np.diff(events.first_of_track))
    part = track[index] * 16 + (events.status[index] & 0x0F).astype(np.int64)
    key = part * 128 + events.first[index].astype(np.int64)
    order = np.argsort(key, kind="stable")
    index, is_on, key = index[order], is_on[order], key[order]
    kept = is_on | _ends_a_note(key, is_on)
    ons, offs = np.flatnonzero(is_on), np.flatnonzero(kept & ~is_on)
    # Of one key the n-th off that counts ends the n-th on.
    ended = np.searchsorted(key[ons], key[offs]) + _rank(key[offs])
    end_events = events.first_of_track[part[order[ons]] // 16 + 1] - 1
    end_events[ended] = index[offs]
    never_ended = np.ones(len(ons), np.bool_)
    never_ended[ended] = False
    begins = index[ons]
    table = np.stack(
        (
            events.ticks[begins],
            events.ticks[end_events],
            events.first[begins].astype(np.int64),
            events.second[begins].astype(np.int64),
        ),
        axis=1,
    )
    parts = key[ons] >> 7
    sorting = np.lexsort((table[:, 2], table[:, 0], parts))
    return PairedNotes(parts[sorting], begins[sorting], table[sorting], never_ended[sorting])


def _rank(groups: IntArray) -> IntArray:
    """Place of each element among the equal ones, which stand together."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def _ends_a_note(key: IntArray, is_on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which offs come while a note sounds, for events by key.

    Without those that come while none sounds, the sum of ons and offs never falls below nought:
    they are the ones that take it to a new minimum.
    """
    size = len(key) + 1
    sums = np.cumsum(np.where(is_on, 1, -1))
    first = np.searchsorted(key, key)
    sums -= np.concatenate(([0], sums))[first]  # of each key alone
    floor = -key * size  # far below the key before, so that no minimum is carried over
    lowest = np.minimum.accumulate(np.minimum(sums, 0) + floor) - floor
    before = np.concatenate(([0], lowest[:-1]))
    starts = np.arange(len(key)) == first
    return ~is_on & (sums >= np.where(starts, 0, before))
