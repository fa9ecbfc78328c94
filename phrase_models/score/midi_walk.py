"""Track chunks of a MIDI file -> a stream in which every event has the same shape, and its metas.

Finding where events begin is what takes a reader its time. Runs of ordinary events are found by one
regular expression and copied; whatever is odd is read byte by byte, as players do, and rewritten.
In the stream an event is a delta time, a status byte where it changes, and two data bytes, so that
three bytes of each event are below 128 and `midi_notes` reads all of them at once.
"""

import re
from dataclasses import dataclass, field

END_OF_TRACK = 0x2F
PASSED = 0xF0
"""Status, in the stream, of an event of which only the time matters there."""

_DELTA = rb"[\x80-\xff]{0,3}+[\x00-\x7f]"
_TWO_DATA_BYTES = rb"[\x80-\xbf\xe0-\xef]"
_DATA = rb"[\x00-\x7f]{2}"
_RUNNING = re.compile(b"(?:" + _DELTA + _TWO_DATA_BYTES + b"?+" + _DATA + b")++")
_FRESH = re.compile(
    _DELTA + _TWO_DATA_BYTES + _DATA + b"(?:" + _DELTA + _TWO_DATA_BYTES + b"?+" + _DATA + b")*+"
)
MAX_RARE = 200_000
"""Events of a file that are read one by one: any but notes, controllers and pitch bends."""
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_MAX_DELTA_BYTES = 4
_KEPT_METAS = frozenset((0x01, 0x03, 0x04, 0x06, 0x20, 0x51, 0x58, 0x59))


@dataclass(frozen=True, slots=True)
class MetaEvent:
    """A meta event that says something of the music.

    Attributes:
        place: in the stream, of the event's last byte.
        track: index of the chunk.
        kind: number of the meta event, such as 0x51 for the tempo.
        body: its bytes, unchecked.
        channel: that a channel prefix before it named, or -1.
    """

    place: int
    track: int
    kind: int
    body: bytes
    channel: int = -1


@dataclass(frozen=True, slots=True)
class ProgramChange:
    """A program change: its place as in `MetaEvent`, chunk, channel and program."""

    place: int
    track: int
    channel: int
    program: int


@dataclass(slots=True)
class EventStream:
    """All tracks of a file, one after the other.

    Attributes:
        data: the stream.
        starts: where each track begins in it.
        metas: in the order of the file.
        programs: the same.
        clipped: how many data bytes were over 127.
        first_clipped: place of the first in the file, or -1.
        rare: how many events were read one by one.
    """

    data: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=list)
    metas: list[MetaEvent] = field(default_factory=list)
    programs: list[ProgramChange] = field(default_factory=list)
    clipped: int = 0
    first_clipped: int = -1
    rare: int = 0


@dataclass(frozen=True, slots=True)
class WalkedTrack:
    """How a track ended.

    Attributes:
        end: the place in the file behind the last byte that was read.
        closed: whether by an end-of-track event.
        fault: why the rest cannot be read, as the end of a sentence; "" where it was read whole.
    """

    end: int
    closed: bool
    fault: str = ""


class _BrokenError(Exception):
    """Bytes that are no event."""


class _CutOffError(Exception):
    """The track ends within an event."""


def walk_track(file: bytes, start: int, end: int, stream: EventStream) -> WalkedTrack:
    """Append the events in `file[start:end]` to a stream.

    Never raises: what comes before a fault is kept.
    """
    stream.starts.append(len(stream.data))
    return _Walker(file, start, end, stream).walk()


class _Walker:
    """A track read event by event."""

    __slots__ = ("channel", "end", "file", "place", "running", "stream", "track")

    def __init__(self, file: bytes, start: int, end: int, stream: EventStream) -> None:
        self.file = file
        self.place = start
        self.end = end
        self.stream = stream
        self.track = len(stream.starts) - 1
        self.running = 0
        """Status that holds where there is none; where it has two data bytes the stream knows
        which, and any that has them stands for it."""
        self.channel = -1

    def walk(self) -> WalkedTrack:
        """Read up to the end, or to what cannot be read."""
        file, end, data = self.file, self.end, self.stream.data
        runs: tuple[re.Pattern[bytes], ...] = (_FRESH, _RUNNING)
        while self.place < end:
            found = runs[self._two_data_bytes()].match(file, self.place, end)
            if found:
                data += found[0]
                self.place = found.end()
                self.running = 0x90
                continue
            before = self.place
            try:
                if self._read_event():
                    return WalkedTrack(self.place, closed=True)
            except _CutOffError:
                fault = f"ends in the middle of an event at byte {before}"
                return WalkedTrack(end, closed=False, fault=fault)
            except _BrokenError as error:
                return WalkedTrack(before, closed=False, fault=f"{error} at byte {before}")
        return WalkedTrack(end, closed=False)

    def _two_data_bytes(self) -> bool:
        return 0x80 <= self.running < 0xC0 or self.running >= 0xE0

    def _read_event(self) -> bool:
        """One event of any kind; whether it ends the track."""
        self.stream.rare += 1
        if self.stream.rare > MAX_RARE:
            message = f"goes on after {MAX_RARE} rare events of the file, more than music has,"
            raise _BrokenError(message)
        delta = self._delta()
        status = self._byte()
        if status < 0x80:
            if not self.running:
                message = "has data without a status"
                raise _BrokenError(message)
            self.place -= 1
            self._read_channel_event(delta, b"", self.running)
        elif status < 0xF0:
            self.running = status
            self._read_channel_event(delta, bytes((status,)), status)
        elif status == 0xFF:
            return self._read_meta(delta)
        else:
            self._read_system_event(delta, status)
        return False

    def _byte(self) -> int:
        if self.place >= self.end:
            raise _CutOffError
        self.place += 1
        return self.file[self.place - 1]

    def _delta(self) -> bytes:
        """Bytes of the delta time, at most four."""
        start = self.place
        while self._byte() >= 0x80:
            pass
        delta = self.file[start : self.place].lstrip(b"\x80")  # noughts in front say nothing
        if len(delta) > _MAX_DELTA_BYTES:
            message = f"has a delta time of {len(delta)} bytes, over {_MAX_DELTA_BYTES},"
            raise _BrokenError(message)
        return delta

    def _length(self) -> int:
        length = 0
        for _ in range(_MAX_DELTA_BYTES):
            byte = self._byte()
            length = length << 7 | byte & 0x7F
            if byte < 0x80:
                return length
        message = f"has a length of more than {_MAX_DELTA_BYTES} bytes"
        raise _BrokenError(message)

    def _take(self, length: int) -> bytes:
        left = self.end - self.place
        if length > left:
            if length <= 2:  # no number in the file said so
                raise _CutOffError
            message = f"has an event that says {length} bytes where {left} are left"
            raise _BrokenError(message)
        self.place += length
        return self.file[self.place - length : self.place]

    def _pass(self, delta: bytes) -> int:
        """An event of which only the time matters; returns its place."""
        data = self.stream.data
        data += delta
        data += b"\xf0\0\0"
        return len(data) - 1

    def _read_channel_event(self, delta: bytes, status: bytes, kind: int) -> None:
        if 0xC0 <= kind < 0xE0:
            (value,) = self._clip(self._take(1))
            place = self._pass(delta)
            if kind < 0xD0:
                change = ProgramChange(place, self.track, kind & 0x0F, value)
                self.stream.programs.append(change)
            return
        values = self._clip(self._take(2))
        data = self.stream.data
        data += delta
        data += status
        data += values

    def _clip(self, values: bytes) -> bytes:
        """Data bytes as players take them, at most 127."""
        if max(values) < 0x80:
            return values
        start = self.place - len(values)
        over = [place for place, value in enumerate(values, start) if value > 0x7F]
        if self.stream.first_clipped < 0:
            self.stream.first_clipped = over[0]
        self.stream.clipped += len(over)
        return bytes(min(value, 0x7F) for value in values)

    def _read_system_event(self, delta: bytes, status: int) -> None:
        if status in (0xF0, 0xF7):
            self._take(self._length())
        else:
            self._take(_SYSTEM_DATA_BYTES.get(status, 0))
        self._pass(delta)

    def _read_meta(self, delta: bytes) -> bool:
        kind = self._byte()
        length = self._length()
        if kind == END_OF_TRACK:  # whatever its length says
            self._pass(delta)
            self.place += min(length, self.end - self.place)
            return True
        body = self._take(length)
        place = self._pass(delta)
        if kind == 0x20 and body:
            self.channel = body[0] & 0x0F
        elif kind in _KEPT_METAS:
            event = MetaEvent(place, self.track, kind, body, self.channel)
            self.stream.metas.append(event)
        return False
