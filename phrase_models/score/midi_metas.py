"""Meta events of a MIDI file -> tempos, meters, keys, markers and texts, each by tick."""

from dataclasses import dataclass

import numpy as np

from phrase_models.score.midi_notes import Events
from phrase_models.score.midi_text import decode_text
from phrase_models.score.midi_walk import EventStream

_TEXT, _MARKER, _TEMPO, _METER, _KEY = 0x01, 0x06, 0x51, 0x58, 0x59
_MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
KEY_NAMES = (*_MAJOR, *(f"{name}m" for name in _MINOR))
"""Of all key signatures that there are."""
_MAX_DENOMINATOR = 6  # 64ths
_SHARPS = 7


@dataclass(frozen=True, slots=True)
class SaidByMetas:
    """Fields of `MidiFile` of the same names."""

    tempos: tuple[tuple[int, float], ...]
    meters: tuple[tuple[int, int, int], ...]
    keys: tuple[tuple[int, str], ...]
    markers: tuple[tuple[int, str], ...]
    texts: tuple[str, ...]
    mended: tuple[str, ...]


def read_metas(stream: EventStream, events: Events) -> SaidByMetas:
    """What a file says beside its notes; what makes no sense is left out, and said."""
    places = np.array([meta.place for meta in stream.metas], np.int64)
    ticks = events.ticks[events.at(places)].tolist()
    by_tick = sorted(zip(ticks, stream.metas, strict=True), key=lambda pair: pair[0])
    tempos: list[tuple[int, float]] = []
    meters: list[tuple[int, int, int]] = []
    keys: list[tuple[int, str]] = []
    markers: list[tuple[int, str]] = []
    texts: list[str] = []
    left_out: dict[str, list[int]] = {}
    for tick, meta in by_tick:
        body = meta.body
        if meta.kind == _TEMPO:
            micros = int.from_bytes(body[:3], "big") if len(body) >= 3 else 0
            if micros:
                tempos.append((tick, 60e6 / micros))
            else:
                left_out.setdefault(f"A tempo of {_written(body)}", []).append(tick)
        elif meta.kind == _METER:
            if len(body) >= 2 and body[0] and body[1] <= _MAX_DENOMINATOR:
                meters.append((tick, body[0], 1 << body[1]))
            else:
                left_out.setdefault(f"A meter of {_written(body)}", []).append(tick)
        elif meta.kind == _KEY:
            key = _key(body)
            if key:
                keys.append((tick, key))
            else:
                left_out.setdefault(_bad_key(body), []).append(tick)
        elif meta.kind == _MARKER:
            markers.append((tick, decode_text(body)))
        elif meta.kind == _TEXT and tick == 0:
            texts.append(decode_text(body))
    return SaidByMetas(
        tuple(tempos),
        tuple(meters),
        tuple(keys),
        tuple(markers),
        tuple(text for text in texts if text),
        tuple(_sentence(what, places) for what, places in left_out.items()),
    )


def _key(body: bytes) -> str:
    """Name of a key signature, "" for one that does not exist."""
    if len(body) < 2 or body[1] > 1:
        return ""
    sharps = _sharps(body)
    if abs(sharps) > _SHARPS:
        return ""
    return KEY_NAMES[sharps + _SHARPS + body[1] * len(_MAJOR)]


def _sharps(body: bytes) -> int:
    return int.from_bytes(body[:1], "big", signed=True)


def _bad_key(body: bytes) -> str:
    if len(body) < 2 or body[1] > 1:
        return f"A key signature of {_written(body)}"
    sharps = _sharps(body)
    return f"A key signature of {abs(sharps)} {'sharps' if sharps > 0 else 'flats'}"


def _written(body: bytes) -> str:
    return f"the bytes {body[:8].hex(' ')}" if body else "no bytes"


def _sentence(what: str, ticks: list[int]) -> str:
    more = f" and {len(ticks) - 1} more times" if len(ticks) > 1 else ""
    return f"{what} at tick {ticks[0]}{more} does not exist and was left out."
