"""Aligned MIDI files <-> songs.

Reads 4/4 files whose bars begin at tick 0 and whose tracks are named Melody, Bridge and Piano (or
carry programs 13, 25, 0); writes such files for a sequencer: named tracks on channels of their own,
real programs, tempo, 4/4, key signature, sections as markers.
"""

import re
from pathlib import Path
from typing import Any

import miditoolkit
import mido
import numpy as np

from phrase_models.errors import BadMidiError
from phrase_models.score.grid import clean_track
from phrase_models.score.song import (
    BRIDGE,
    MAX_DURATION,
    MELODY,
    PIANO,
    ROLE_NAMES,
    ROLE_PROGRAMS,
    STEPS_PER_BAR,
    STEPS_PER_BEAT,
    Note,
    Section,
    Song,
    Track,
)

TICKS_PER_BEAT = 480
SOUNDS = {MELODY: 73, BRIDGE: 25, PIANO: 0}
"""General MIDI programs that are heard: flute, steel guitar, piano."""
END_MARKER = "end"
SECTION_MARKER = re.compile(r"([A-Za-z])-?(\d+)")


def read_midi(path: Path) -> Song:
    """Read an aligned MIDI file.

    Onsets and ends are rounded apart to 48 steps a bar, half to even. The length is that of the
    markers where the file has them, else runs to the bar of the last onset.

    Args:
        path: of the file.

    Returns:
        The song; its id is the file's name without ending.

    Raises:
        BadMidiError: if the file is missing, broken, empty, not in 4/4, or has none of the roles.
    """
    midi = _parse(path)
    _refuse_other_meters(midi, path)
    scale = STEPS_PER_BEAT / midi.ticks_per_beat
    notes: dict[int, list[Note]] = {}
    for instrument in midi.instruments:
        program = _role(instrument)
        if program is not None:
            notes.setdefault(program, []).extend(_notes(instrument, scale))
    if not any(notes.values()):
        message = (
            f"File {path} has no notes on tracks named Melody, Bridge or Piano "
            "(or programs 13, 25, 0)."
        )
        raise BadMidiError(message)
    tracks = tuple(
        Track(program, clean_track(notes[program]))
        for program in ROLE_PROGRAMS
        if notes.get(program)
    )
    last_onset = max(track.notes[-1].onset for track in tracks)
    sections, end = _sections(midi, scale)
    num_bars = max(last_onset // STEPS_PER_BAR + 1, end)
    tempo = round(midi.tempo_changes[0].tempo, 3) if midi.tempo_changes else 120.0
    return Song(path.stem, num_bars, tracks, sections, tempo)


def _parse(path: Path) -> Any:
    if not path.is_file():
        message = f"There is no MIDI file {path}."
        raise BadMidiError(message)
    if path.read_bytes()[:4] != b"MThd":
        message = f"File {path} is no MIDI file, whatever its name says."
        raise BadMidiError(message)
    try:
        midi = miditoolkit.MidiFile(str(path))
    except Exception as error:  # the parser raises whatever a broken file makes it
        message = f"File {path} is a broken MIDI file, perhaps cut off; export it again."
        raise BadMidiError(message) from error
    if not any(instrument.notes for instrument in midi.instruments):
        message = f"File {path} holds no notes."
        raise BadMidiError(message)
    return midi


def _refuse_other_meters(midi: Any, path: Path) -> None:
    for change in midi.time_signature_changes:
        if (change.numerator, change.denominator) != (4, 4):
            message = (
                f"File {path} is in {change.numerator}/{change.denominator} at tick {change.time}; "
                "only 4/4 can be read."
            )
            raise BadMidiError(message)


def _role(instrument: Any) -> int | None:
    """Melody, bridge or piano by the track's name, else by its program."""
    name = instrument.name.strip().lower()
    for program, role in ROLE_NAMES.items():
        if name == role.lower():
            return program
    if instrument.is_drum:
        return None
    return instrument.program if instrument.program in ROLE_PROGRAMS else None


def _notes(instrument: Any, scale: float) -> list[Note]:
    if not instrument.notes:
        return []
    places = np.array([(note.start, note.end) for note in instrument.notes], np.float64) * scale
    starts, ends = np.round(places).astype(np.int64).T
    durations = np.clip(ends - starts, 1, MAX_DURATION)
    return [
        Note(int(start), int(note.pitch), int(duration), int(note.velocity))
        for note, start, duration in zip(instrument.notes, starts, durations, strict=True)
    ]


def _sections(midi: Any, scale: float) -> tuple[tuple[Section, ...], int]:
    """Sections and bars that the markers tell of; none where they are no section markers."""
    sections: list[Section] = []
    end = 0
    for marker in sorted(midi.markers, key=lambda item: item.time):
        bar = round(marker.time * scale) // STEPS_PER_BAR
        found = SECTION_MARKER.fullmatch(marker.text.strip())
        if marker.text.strip() == END_MARKER:
            end = bar
        elif found and bar == sum(section.num_bars for section in sections):
            sections.append(Section(found[1], bar, int(found[2])))
    labelled = sum(section.num_bars for section in sections)
    return tuple(sections), max(end, labelled)


def write_midi(song: Song, path: Path, *, key: str = "C", text: str = "") -> None:
    """Write a type 1 file of 480 ticks a beat; equal songs give equal bytes.

    Args:
        song: as it shall sound.
        path: of the file; written aside and renamed.
        key: major key of the key signature.
        text: kept in a text event at tick 0, such as seed and model.
    """
    ticks = TICKS_PER_BEAT // STEPS_PER_BEAT
    midi = miditoolkit.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    midi.tempo_changes = [miditoolkit.TempoChange(song.tempo_bpm, 0)]
    midi.time_signature_changes = [miditoolkit.TimeSignature(4, 4, 0)]
    midi.key_signature_changes = [miditoolkit.KeySignature(key, 0)]
    for track in song.tracks:
        name = ROLE_NAMES.get(track.program, f"Program {track.program}")
        program = SOUNDS.get(track.program, track.program)
        instrument = miditoolkit.Instrument(program=program, is_drum=False, name=name)
        instrument.notes = [
            miditoolkit.Note(
                note.velocity,
                note.pitch,
                note.onset * ticks,
                (note.onset + note.duration) * ticks,
            )
            for note in track.notes
        ]
        midi.instruments.append(instrument)
    midi.markers = [
        miditoolkit.Marker(f"{section.label}{section.num_bars}", _bar_tick(section.start_bar))
        for section in song.sections
    ]
    midi.markers.append(miditoolkit.Marker(END_MARKER, _bar_tick(song.num_bars)))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    midi.dump(str(aside))
    if text:
        _add_text(aside, text)
    aside.replace(path)


def _add_text(path: Path, text: str) -> None:
    """Put a text event at the start; miditoolkit writes none itself."""
    file = mido.MidiFile(path)
    file.tracks[0].insert(0, mido.MetaMessage("text", text=text, time=0))
    file.save(path)


def _bar_tick(bar: int) -> int:
    return bar * STEPS_PER_BAR * (TICKS_PER_BEAT // STEPS_PER_BEAT)
