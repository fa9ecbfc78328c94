"""How much a server takes: of a request, of its memory, of a client's time."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """Bounds of a server; all that comes from outside is held against one of them.

    Attributes:
        queue_size: songs that wait, beside the one that is made.
        wait_seconds: that `/generate` and `/accompany` wait for a song.
        kept_jobs: finished jobs that are kept, the newest.
        kept_seconds: that each of them is kept.
        json_bytes: of a JSON body.
        midi_bytes: of a MIDI body.
        body_seconds: in which a body has to arrive.
        stop_seconds: that open connections get when the server is asked to end.
    """

    queue_size: int = 16
    wait_seconds: float = 120.0
    kept_jobs: int = 100
    kept_seconds: float = 900.0
    json_bytes: int = MIB // 4
    midi_bytes: int = MIB
    body_seconds: float = 30.0
    stop_seconds: int = 2
