"""Aligned MIDI files -> songs.

Reads 4/4 files whose bars begin at tick 0 and whose tracks are named Melody, Bridge and Piano (or
carry programs 13, 25, 0).
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import miditoolkit
import mido

from phrase_models.errors import BadMidiError
from phrase_models.score.grid import clean_track
from phrase_models.score.midi_writer import END_MARKER
from phrase_models.score.song import (
    MAX_DURATION,
    ROLE_NAMES,
    ROLE_PROGRAMS,
    STEPS_PER_BAR,
    STEPS_PER_BEAT,
    Note,
    Section,
    Song,
    Track,
)

SECTION_MARKER = re.compile(r"([A-Za-z])-?(\d+)")
MAX_READ_BARS = 2000
"""Longer files are hours of music, or damaged: their bars would fill the memory."""


def read_midi(path: Path) -> Song:
    """Read an aligned MIDI file.

    Onsets and ends are rounded apart to 48 steps a bar, half to even. Where any track has the name
    of a role, only such tracks are read; else the tracks with the programs of the roles. The
    length is that of the markers where the file has them, and at least reaches to the bar of the
    last onset.

    Args:
        path: of the file.

    Returns:
        The song; its id is the file's name without ending.

    Raises:
        BadMidiError: if the file is missing, broken, empty, not in 4/4, or has none of the roles.
    """
    midi = _parse(path)
    _refuse_other_meters(midi, path)
    notes = _notes_of_roles(midi)
    if not notes:
        message = (
            f"File {path} has no notes on tracks named Melody, Bridge or Piano "
            "(or programs 13, 25, 0)."
        )
        raise BadMidiError(message)
    tracks = tuple(
        Track(program, clean_track(notes[program])) for program in ROLE_PROGRAMS if program in notes
    )
    last_onset = max(track.notes[-1].onset for track in tracks)
    sections, end = _sections(midi)
    num_bars = max(last_onset // STEPS_PER_BAR + 1, end)
    if num_bars > MAX_READ_BARS:
        message = (
            f"File {path} is {num_bars} bars long; it must have at most {MAX_READ_BARS}, "
            "so it is probably damaged."
        )
        raise BadMidiError(message)
    return Song(path.stem, num_bars, tracks, sections, _tempo(midi))


def _parse(path: Path) -> Any:
    try:
        head = path.read_bytes()[:4]
    except FileNotFoundError as error:
        message = f"There is no MIDI file {path}."
        raise BadMidiError(message) from error
    except OSError as error:
        message = f"File {path} cannot be read: {error.strerror or error}."
        raise BadMidiError(message) from error
    if not head:
        message = f"File {path} is empty; export it again."
        raise BadMidiError(message)
    if head != b"MThd":
        message = f"File {path} is no MIDI file, whatever its name says."
        raise BadMidiError(message)
    try:
        midi = miditoolkit.MidiFile(str(path))
    except Exception as error:  # the parser raises whatever a broken file makes it
        message = f"File {path} is a broken MIDI file, perhaps cut off; export it again."
        raise BadMidiError(message) from error
    if midi.ticks_per_beat <= 0:
        message = f"File {path} counts time in frames, not in beats; export it with ticks per beat."
        raise BadMidiError(message)
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


def _notes_of_roles(midi: Any) -> dict[int, list[Note]]:
    programs = {name.lower(): program for program, name in ROLE_NAMES.items()}
    roles = [programs.get(instrument.name.strip().lower()) for instrument in midi.instruments]
    if not any(role is not None for role in roles):
        roles = [
            None if instrument.is_drum else int(instrument.program)
            for instrument in midi.instruments
        ]
    notes: dict[int, list[Note]] = {}
    for role, instrument in zip(roles, midi.instruments, strict=True):
        if role in ROLE_PROGRAMS and instrument.notes:
            found = _quantised(instrument.notes, midi.ticks_per_beat)
            notes.setdefault(role, []).extend(found)
    return notes


def _quantised(notes: Iterable[Any], ticks_per_beat: int) -> list[Note]:
    found = []
    for note in notes:
        start = _step(note.start, ticks_per_beat)
        duration = _step(note.end, ticks_per_beat) - start
        found.append(
            Note(start, note.pitch, min(max(duration, 1), MAX_DURATION), max(note.velocity, 1))
        )
    return found


def _step(tick: int, ticks_per_beat: int) -> int:
    """Nearest step; `round` takes ties to the even one, and the quotient is exact at ties."""
    return round(tick * STEPS_PER_BEAT / ticks_per_beat)


def _sections(midi: Any) -> tuple[tuple[Section, ...], int]:
    """Sections and bars that the markers tell of; none where they are no section markers."""
    sections: list[Section] = []
    labelled = end = 0
    for marker in sorted(midi.markers, key=lambda item: item.time):
        bar = _step(marker.time, midi.ticks_per_beat) // STEPS_PER_BAR
        text = marker.text.strip()
        found = SECTION_MARKER.fullmatch(text)
        if text == END_MARKER:
            end = bar
        elif found and bar == labelled and int(found[2]) > 0:
            sections.append(Section(found[1], bar, int(found[2])))
            labelled += int(found[2])
    return tuple(sections), max(end, labelled)


def _tempo(midi: Any) -> float:
    """First tempo, to as few decimals as tell its whole microseconds a beat."""
    bpm = float(midi.tempo_changes[0].tempo)
    rounded = (round(bpm, digits) for digits in range(9))
    return next((tempo for tempo in rounded if tempo and _same_tempo(tempo, bpm)), bpm)


def _same_tempo(tempo: float, other: float) -> bool:
    return bool(mido.bpm2tempo(tempo) == mido.bpm2tempo(other))


def read_texts(path: Path) -> tuple[str, ...]:
    """The text events at the start of a MIDI file, as `write_midi` left them.

    Raises:
        BadMidiError: if the file is missing or broken.
    """
    return tuple(
        message.text for message in _opening_events(path) if message.type == "text" and message.text
    )


def read_key(path: Path) -> str:
    """The key signature at the start of a MIDI file, such as "Bb"; "C" where there is none.

    Raises:
        BadMidiError: if the file is missing or broken.
    """
    keys = (message.key for message in _opening_events(path) if message.type == "key_signature")
    return next(keys, "C")


def _opening_events(path: Path) -> list[Any]:
    """Messages at tick 0 of the first track; the file may be silent."""
    try:
        tracks = mido.MidiFile(path, charset="utf-8").tracks
    except Exception as error:  # the parser raises whatever a broken file makes it
        message = f"File {path} is missing or no MIDI file whose texts can be read."
        raise BadMidiError(message) from error
    events: list[Any] = []
    for message in tracks[0] if tracks else ():
        if message.time:
            break
        events.append(message)
    return events
