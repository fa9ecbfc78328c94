"""Songs -> aligned MIDI files for a sequencer.

Named tracks on channels of their own, real programs, tempo, 4/4, key signature, sections as
markers; bars begin at tick 0.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import miditoolkit
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
END_MARKER = "end"


def write_midi(song: Song, path: Path, *, key: str = "C", texts: Sequence[str] = ()) -> None:
    """Write a type 1 file of 480 ticks a beat; equal songs give equal bytes.

    Melody, Bridge and Piano are on channels 1, 2 and 3 as sequencers count, silent or not.

    Args:
        song: as it shall sound.
        path: of the file; written aside and renamed.
        key: of the key signature, such as "C", "Bb" or "Am".
        texts: kept in text events at tick 0, in this order, such as seed and model.
    """
    midi = miditoolkit.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    midi.tempo_changes = [miditoolkit.TempoChange(song.tempo_bpm, 0)]
    midi.time_signature_changes = [miditoolkit.TimeSignature(4, 4, 0)]
    midi.key_signature_changes = [miditoolkit.KeySignature(key, 0)]
    midi.instruments = [_instrument(program, notes) for program, notes in _parts(song).items()]
    midi.markers = [
        miditoolkit.Marker(f"{section.label}{section.num_bars}", _bar_tick(section.start_bar))
        for section in song.sections
    ]
    midi.markers.append(miditoolkit.Marker(END_MARKER, _bar_tick(song.num_bars)))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    try:
        midi.dump(str(aside))
        if texts:
            _add_texts(aside, texts)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _parts(song: Song) -> dict[int, list[Note]]:
    """Notes of every role, in the order of the channels, then of any other program."""
    parts: dict[int, list[Note]] = {program: [] for program in ROLE_PROGRAMS}
    for track in song.tracks:
        parts.setdefault(track.program, []).extend(track.notes)
    return parts


def _instrument(program: int, notes: Iterable[Note]) -> Any:
    instrument = miditoolkit.Instrument(
        program=0 if program == DRUMS else SOUNDS.get(program, program),
        is_drum=program == DRUMS,
        name=ROLE_NAMES.get(program, f"Program {program}"),
    )
    instrument.notes = [
        miditoolkit.Note(
            note.velocity,
            note.pitch,
            note.onset * TICKS_PER_STEP,
            (note.onset + note.duration) * TICKS_PER_STEP,
        )
        for note in notes
    ]
    return instrument


def _add_texts(path: Path, texts: Sequence[str]) -> None:
    """Put text events at the start; miditoolkit writes none itself."""
    file = mido.MidiFile(path, charset="utf-8")
    file.tracks[0][:0] = [mido.MetaMessage("text", text=text, time=0) for text in texts]
    file.save(path)


def _bar_tick(bar: int) -> int:
    return bar * STEPS_PER_BAR * TICKS_PER_STEP
