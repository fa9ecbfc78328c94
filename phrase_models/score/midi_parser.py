"""Bytes of a MIDI file -> `MidiFile`."""

from pathlib import Path
from typing import Any

import miditoolkit
import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import BadMidiError
from phrase_models.score.midi_file import MidiFile, MidiTrack


def parse_midi(path: Path) -> MidiFile:
    """Read a MIDI file of type 0 or 1 as it is.

    Raises:
        BadMidiError: in one sentence with the reason and its place, if nothing can be read.
    """
    try:
        midi = miditoolkit.MidiFile(str(path))
    except Exception as error:  # the parser raises whatever a broken file makes it
        message = f"File {path} is a broken MIDI file: {error}."
        raise BadMidiError(message) from error
    return MidiFile(
        ticks_per_beat=midi.ticks_per_beat,
        tracks=tuple(
            MidiTrack(
                number,
                item.name,
                9 if item.is_drum else 0,
                item.program,
                has_program=True,
                notes=_notes(item.notes),
            )
            for number, item in enumerate((i for i in midi.instruments if i.notes), start=1)
        ),
        tempos=tuple((item.time, item.tempo) for item in midi.tempo_changes),
        meters=tuple(
            (item.time, item.numerator, item.denominator) for item in midi.time_signature_changes
        ),
        keys=tuple((item.time, item.key_name) for item in midi.key_signature_changes),
        markers=tuple((item.time, item.text) for item in midi.markers),
        last_tick=midi.max_tick,
    )


def _notes(notes: list[Any]) -> NDArray[np.int64]:
    table = [(note.start, note.end, note.pitch, note.velocity) for note in notes]
    return np.array(table, np.int64).reshape(-1, 4)
