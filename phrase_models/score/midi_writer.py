"""Songs -> aligned MIDI files for a sequencer.

Named tracks on channels of their own, real programs, tempo, 4/4, key signature, sections as
markers; bars begin at tick 0.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import mido

from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    ROLE_NAMES,
    ROLE_PROGRAMS,
    STEPS_PER_BAR,
    STEPS_PER_BEAT,
    Note,
    Song,
)

TICKS_PER_BEAT = 480
TICKS_PER_STEP = TICKS_PER_BEAT // STEPS_PER_BEAT
SOUNDS = {MELODY: 73, BRIDGE: 25, PIANO: 0}
"""General MIDI programs that are heard: flute, steel guitar, piano."""
DRUMS = 128
DRUM_CHANNEL = 9
CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
"""Of one port, for all but drums."""
END_MARKER = "end"


def write_midi(song: Song, path: Path, *, key: str = "C", texts: Sequence[str] = ()) -> None:
    """Write the bytes of `midi_bytes` to a file, aside first and then renamed.

    Raises:
        ValueError: as `midi_bytes`.
    """
    content = midi_bytes(song, key=key, texts=texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def midi_bytes(song: Song, *, key: str = "C", texts: Sequence[str] = ()) -> bytes:
    """A song as a file of type 1 of 480 ticks a beat; equal songs give equal bytes.

    Melody, Bridge and Piano are on channels 1, 2 and 3 as sequencers count, silent or not. No two
    programs share a channel: from the 16th on they are on further ports (see `programs_by_port`).

    Args:
        song: as it shall sound.
        key: of the key signature, such as "C", "Bb" or "Am".
        texts: kept in text events at tick 0, in this order, such as seed and model.

    Raises:
        ValueError: for a key, or a tempo, that a MIDI file cannot tell.
    """
    file = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    file.tracks.append(_conductor(song, key, texts))
    parts = _parts(song)
    ports = programs_by_port(song)
    for port, programs in enumerate(ports):
        free = iter(CHANNELS)
        for program in programs:
            channel = DRUM_CHANNEL if program == DRUMS else next(free)
            where = port if len(ports) > 1 else None
            file.tracks.append(_track(program, parts[program], channel, where))
    content = BytesIO()
    file.save(file=content)
    return content.getvalue()


def programs_by_port(song: Song) -> list[list[int]]:
    """Programs on each MIDI port of the file of a song, in the order of their tracks.

    A port has 15 channels beside that of drums. Sequencers honour ports; players that know none
    play the second port's tracks on the first's channels.
    """
    programs = list(_parts(song))
    pitched = [program for program in programs if program != DRUMS]
    size = len(CHANNELS)
    ports = [pitched[start : start + size] for start in range(0, len(pitched), size)]
    if DRUMS in programs:
        ports[0].append(DRUMS)
    return ports


def _parts(song: Song) -> dict[int, list[Note]]:
    """Notes of every role, in the order of the channels, then of any other program."""
    parts: dict[int, list[Note]] = {program: [] for program in ROLE_PROGRAMS}
    for track in song.tracks:
        parts.setdefault(track.program, []).extend(track.notes)
    return parts


def _conductor(song: Song, key: str, texts: Sequence[str]) -> mido.MidiTrack:
    """The first track: all but notes."""
    events = [(0, mido.MetaMessage("text", text=text)) for text in texts]
    events += [
        (0, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(song.tempo_bpm))),
        (0, mido.MetaMessage("time_signature", numerator=4, denominator=4)),
        (0, mido.MetaMessage("key_signature", key=key)),
    ]
    for section in song.sections:
        text = f"{section.label}{section.num_bars}"
        events.append((_bar_tick(section.start_bar), mido.MetaMessage("marker", text=text)))
    events.append((_bar_tick(song.num_bars), mido.MetaMessage("marker", text=END_MARKER)))
    return _with_deltas(events)


def _track(program: int, notes: Sequence[Note], channel: int, port: int | None) -> mido.MidiTrack:
    """A track of one program; its port is named where there are several."""
    events = [(0, mido.MetaMessage("midi_port", port=port))] if port is not None else []
    name = ROLE_NAMES.get(program, f"Program {program}")
    sound = 0 if program == DRUMS else SOUNDS.get(program, program)
    events += [
        (0, mido.MetaMessage("track_name", name=name)),
        (0, mido.Message("program_change", program=sound, channel=channel)),
    ]
    # At one tick ends come first, and the note that ends first begins first: readers pair in order.
    ordered = sorted(_note_events(notes, channel), key=lambda event: event[:3])
    return _with_deltas(events + [(tick, message) for tick, _, _, message in ordered])


def _note_events(
    notes: Sequence[Note], channel: int
) -> Iterator[tuple[int, bool, int, mido.Message]]:
    """(tick, whether it begins a note, tick of the end if so, message)."""
    for note in notes:
        start = note.onset * TICKS_PER_STEP
        end = start + note.duration * TICKS_PER_STEP
        values = {"channel": channel, "note": note.pitch, "velocity": note.velocity}
        yield start, True, end, mido.Message("note_on", **values)
        yield end, False, 0, mido.Message("note_off", **values)


def _with_deltas(events: Sequence[tuple[int, mido.Message | mido.MetaMessage]]) -> mido.MidiTrack:
    """Events by tick as a track, which ends a tick after the last."""
    track = mido.MidiTrack()
    newest = 0
    for tick, message in events:
        track.append(message.copy(time=tick - newest))
        newest = tick
    track.append(mido.MetaMessage("end_of_track", time=1))
    return track


def _bar_tick(bar: int) -> int:
    return bar * STEPS_PER_BAR * TICKS_PER_STEP
