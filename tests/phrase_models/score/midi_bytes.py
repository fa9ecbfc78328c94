"""MIDI files byte by byte, so that what is odd about each is plain to see."""


def header(num_tracks: int, *, division: int = 480, form: int = 1) -> bytes:
    return b"MThd\0\0\0\6" + b"".join(
        value.to_bytes(2, "big") for value in (form, num_tracks, division)
    )


def chunk(*events: bytes, end: bytes = b"\0\xff\x2f\0") -> bytes:
    body = b"".join(events) + end
    return b"MTrk" + len(body).to_bytes(4, "big") + body


def meta(kind: int, body: bytes) -> bytes:
    return b"\0\xff" + bytes((kind, len(body))) + body


def midi(*chunks: bytes) -> bytes:
    return header(len(chunks)) + b"".join(chunks)


NOTE = b"\0\x90\x3c\x40" + b"\x60\x80\x3c\0"
"""C4 from tick 0 to 96 on channel 1; ends at tick 96."""
