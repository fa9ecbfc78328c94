"""Bytes of a MIDI file -> `MidiFile`: what players read is read, and what was mended is said."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from phrase_models.errors import BadMidiError
from phrase_models.score.midi_file import MidiFile, MidiTrack
from phrase_models.score.midi_metas import read_metas
from phrase_models.score.midi_notes import Events, PairedNotes, decode_events, pair_notes
from phrase_models.score.midi_text import decode_text
from phrase_models.score.midi_walk import EventStream, WalkedTrack, walk_track

MAX_BYTES = 4 << 20
"""Larger files are no songs; an hour of dense music has a fraction of it."""
MAX_TRACKS = 0xFFFF
"""As many as a header can name."""
_MAX_SENTENCES = 20
_SEARCHED = 4096
"""Bytes in which a header may come after what another system put before it."""
_TRACK_NAME, _INSTRUMENT_NAME = 0x03, 0x04


def parse_midi(path: Path) -> MidiFile:
    """Read a MIDI file of type 0 or 1 as it is.

    It may be silent, and wrapped as RIFF or MacBinary. What is wrong with it and could be read all
    the same is in `MidiFile.mended`.

    Raises:
        BadMidiError: in one sentence with the reason and its place, if it cannot be read.
    """
    return parse_midi_bytes(_read(path), f"File {path}")


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            message = f"{path} is a folder, no MIDI file."
            raise BadMidiError(message)
        if path.exists() and not path.is_file():
            message = f"{path} is no ordinary file, so no MIDI file is read from it."
            raise BadMidiError(message)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        message = f"There is no MIDI file {path}."
        raise BadMidiError(message) from error
    except (OSError, ValueError) as error:  # a path with a NUL raises ValueError
        reason = getattr(error, "strerror", None) or error
        message = f"File {path} cannot be read: {reason}."
        raise BadMidiError(message) from error
    if not data:
        message = f"File {path} is empty; export it again."
        raise BadMidiError(message)
    if len(data) > MAX_BYTES:
        message = (
            f"File {path} has more than {MAX_BYTES >> 20} MiB, which no song has; "
            "export a single song."
        )
        raise BadMidiError(message)
    return data


def parse_midi_bytes(data: bytes, name: str = "The file") -> MidiFile:
    """Read the bytes of a file; `name` begins the sentences of what is raised.

    Raises:
        BadMidiError: see `parse_midi`.
    """
    mended: list[str] = []
    data = _unwrapped(data, name, mended)
    ticks_per_beat, num_tracks, place = _read_header(data, name, mended)
    stream = EventStream()
    faults = list(_walk_chunks(data, place, stream, mended))
    found = len(stream.starts)
    if not found:
        message = f"{name} has a header but no track in it."
        raise BadMidiError(message)
    if found != num_tracks:
        mended.append(f"The header says {num_tracks} tracks, and there are {found}.")
    if stream.clipped:
        mended.append(
            f"Data bytes over 127 were taken as 127: {stream.clipped}, the first at byte "
            f"{stream.first_clipped}."
        )
    events = decode_events(stream)
    notes = pair_notes(events)
    if faults and not len(notes.table):
        message = f"{name} cannot be read: track chunk {faults[0]}."
        raise BadMidiError(message)
    tracks = _tracks(events, notes, stream)
    cut_off = tuple(f"Track chunk {fault}; what comes before was read." for fault in faults)
    said = read_metas(stream, events)
    return MidiFile(
        ticks_per_beat=ticks_per_beat,
        tracks=tracks,
        tempos=said.tempos,
        meters=said.meters,
        keys=said.keys,
        markers=said.markers,
        texts=said.texts,
        last_tick=int(events.ticks.max(initial=0)),
        mended=_first_of((*mended, *cut_off, *_never_ended(tracks, notes), *said.mended)),
        cut_off=_first_of(cut_off),
    )


def _first_of(sentences: tuple[str, ...]) -> tuple[str, ...]:
    if len(sentences) <= _MAX_SENTENCES:
        return sentences
    more = f"{len(sentences) - _MAX_SENTENCES} more things like these were mended."
    return (*sentences[:_MAX_SENTENCES], more)


# --------------------------------------------------------------------------- chunks
def _unwrapped(data: bytes, name: str, mended: list[str]) -> bytes:
    """The file from its header on."""
    start = data.find(b"MThd", 0, _SEARCHED)
    if start < 0:
        message = f"{name} is no MIDI file, whatever its name says: it has no header MThd."
        raise BadMidiError(message)
    if data[:4] == b"RIFF" and data[start - 8 : start - 4] == b"data":
        return data[start : start + int.from_bytes(data[start - 4 : start], "little")]
    if start:
        mended.append(f"{start} bytes before the header were passed over.")
    return data[start:]


def _read_header(data: bytes, name: str, mended: list[str]) -> tuple[int, int, int]:
    """Ticks a beat, number of tracks, and where the first chunk begins."""
    size = int.from_bytes(data[4:8], "big")
    if len(data) < 14:
        message = f"{name} ends within its header, after {len(data)} bytes; copy it again."
        raise BadMidiError(message)
    form, num_tracks, division = (int.from_bytes(data[i : i + 2], "big") for i in (8, 10, 12))
    if form == 2:
        message = (
            f"{name} is of format 2, whose tracks are pieces of their own; export it as format 1."
        )
        raise BadMidiError(message)
    if form > 2:
        mended.append(f"Format {form} does not exist; the file was read as format 1.")
    if division & 0x8000:
        message = f"{name} counts time in frames, not in beats; export it with ticks per beat."
        raise BadMidiError(message)
    if not division:
        message = (
            f"{name} says that a beat has 0 ticks, so its notes have no place; export it again."
        )
        raise BadMidiError(message)
    if size < 6 or 8 + size > len(data):
        mended.append(f"The header says that it has {size} bytes; it was read as one of 6.")
        size = 6
    return division, num_tracks, 8 + size


def _walk_chunks(data: bytes, place: int, stream: EventStream, mended: list[str]) -> Iterator[str]:
    """Walk all track chunks; yields numbers of chunks with the reason why they end too early."""
    while place + 8 <= len(data) and len(stream.starts) < MAX_TRACKS:
        end = place + 8 + int.from_bytes(data[place + 4 : place + 8], "big")
        if data[place : place + 4] == b"MTrk":
            known = _chunk_follows(data, end)
            walked = walk_track(data, place + 8, end if known else _next(data, place), stream)
            number = len(stream.starts)
            wrong = _track_begins_within(data, walked, end) if known else walked.end != end
            if walked.fault:
                yield f"{number} {walked.fault}"
            elif wrong:
                mended.append(
                    f"The length of track chunk {number} is wrong: it says that byte {end} is its "
                    f"end, and it ends at byte {walked.end}."
                )
            place = walked.end if wrong else end
        elif _chunk_follows(data, place):
            place = end
        else:  # junk, or the place that a wrong length has led to
            following = _next(data, place - 7)
            if stream.starts and following == len(data):
                mended.append(f"{following - place} bytes behind the last track were passed over.")
            place = following


def _chunk_follows(data: bytes, place: int) -> bool:
    """Whether a chunk of any kind, or the end of the file, stands there."""
    kind = data[place : place + 4]
    end = place + 8 + int.from_bytes(data[place + 4 : place + 8], "big")
    whole = end <= len(data) and re.fullmatch(rb"[ -~]{4}", kind) is not None
    return place == len(data) or kind == b"MTrk" or whole


def _next(data: bytes, place: int) -> int:
    """Where the next track behind the head of a chunk begins, or the file ends."""
    found = data.find(b"MTrk", place + 8)
    return found if found >= 0 else len(data)


def _track_begins_within(data: bytes, walked: WalkedTrack, end: int) -> bool:
    """Whether a track begins before the chunk of the one before it ends."""
    return walked.closed and walked.end < end and data[walked.end : walked.end + 4] == b"MTrk"


# --------------------------------------------------------------------------- tracks
def _tracks(events: Events, notes: PairedNotes, stream: EventStream) -> tuple[MidiTrack, ...]:
    if not len(notes.part):
        return ()
    starts = np.flatnonzero(np.diff(notes.part, prepend=-1))
    ends = np.append(starts[1:], len(notes.part))
    names = _names(stream)
    programs = _Programs(events, stream)
    tracks = []
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True), 1):
        track, channel = divmod(int(notes.part[start]), 16)
        program = programs.at_first_note(track, channel, int(notes.begins[start:end].min()))
        tracks.append(
            MidiTrack(
                number,
                names.get((track, channel)) or names.get((track, -1), ""),
                channel,
                0 if program is None else program,
                has_program=program is not None,
                notes=notes.table[start:end],
            )
        )
    return tuple(tracks)


def _names(stream: EventStream) -> dict[tuple[int, int], str]:
    """Names by chunk and channel, -1 where for all; a track's name before an instrument's."""
    names: dict[tuple[int, int], str] = {}
    for kind in (_TRACK_NAME, _INSTRUMENT_NAME):
        for meta in stream.metas:
            if meta.kind == kind:
                place = (meta.track, meta.channel)
                names[place] = names.get(place) or decode_text(meta.body)
    return names


class _Programs:
    """Program changes, of a track's channel and of a channel in any track."""

    def __init__(self, events: Events, stream: EventStream) -> None:
        indices = events.at(np.array([change.place for change in stream.programs], np.int64))
        self.ticks = events.ticks
        self.own: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self.any: dict[int, list[tuple[int, int]]] = {}
        for index, change in zip(indices.tolist(), stream.programs, strict=True):
            own = self.own.setdefault((change.track, change.channel), [])
            own.append((index, change.program))
            tick = int(self.ticks[index])
            self.any.setdefault(change.channel, []).append((tick, change.program))
        for changes in self.any.values():
            changes.sort(key=lambda change: change[0])

    def at_first_note(self, track: int, channel: int, note: int) -> int | None:
        """The newest of the channel when a note begins: of its own track, else of any."""
        own = self.own.get((track, channel), [])
        place = bisect_left(own, note, key=lambda change: change[0])
        if place:
            return own[place - 1][1]
        others = self.any.get(channel, [])
        # At the note's own tick another track may come first or not; players send programs first.
        place = bisect_right(others, int(self.ticks[note]), key=lambda change: change[0])
        return others[place - 1][1] if place else None


def _never_ended(tracks: tuple[MidiTrack, ...], notes: PairedNotes) -> list[str]:
    sentences, start = [], 0
    for track in tracks:
        end = start + len(track.notes)
        count = int(notes.never_ended[start:end].sum())
        if count:
            named = f" ({track.name})" if track.name else ""
            sentences.append(
                f"Notes that never end, and end with track {track.number}{named}: {count}."
            )
        start = end
    return sentences
