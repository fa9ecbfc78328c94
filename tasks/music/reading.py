"""MIDI files that commands are given: read, and what became of their notes said."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phrase_models.errors import BadMidiError, ConfigurationError
from phrase_models.score.midi import (
    Grid,
    MidiReading,
    OpenMidi,
    open_midi,
    read_with_report,
    track_reports,
)
from phrase_models.score.midi_parser import parse_midi
from phrase_models.score.reading_report import ReadingReport
from phrase_models.score.song import Song
from phrase_models.score.track_roles import RoleChoice, parse_role_choices

if TYPE_CHECKING:
    from phrase_models.codec import PhraseCodec


@dataclass(frozen=True, slots=True)
class ModelReading:
    """A file as a model takes it.

    Attributes:
        song: on the model's grid, whole.
        fitting: the same without notes that the model's longest phrase has no room for.
        key: as in the file.
        report: what became of the notes of the file up to `song`.
    """

    song: Song
    fitting: Song
    key: str
    report: ReadingReport


def read_file(
    path: Path, role_map: Sequence[str] = (), *, grid: Grid = 48, keep_programs: bool = False
) -> MidiReading:
    """Read one file; the report goes to stderr.

    Args:
        path: of the file.
        role_map: choices of the user, such as "Track 3=melody".
        grid: places a bar.
        keep_programs: see `open_midi`.

    Raises:
        BadMidiError: if nothing can be read.
        ConfigurationError: if a choice is none, or names no track of the file.
    """
    (opened,) = open_files((path,), role_map, keep_programs=keep_programs)
    reading = opened.on_grid(grid)
    say(reading.report.lines())
    return reading


def read_of_many(path: Path) -> MidiReading:
    """Read one of many files, of whose report only a line is said, and that if notes are lost.

    Raises:
        BadMidiError: if nothing can be read.
    """
    reading = read_with_report(path)
    if reading.report.num_kept < reading.report.num_notes:
        say((reading.report.summary,))
    return reading


def open_files(
    paths: Sequence[Path], role_map: Sequence[str] = (), *, keep_programs: bool = False
) -> list[OpenMidi]:
    """Files that can be read, before a model that knows the grid is loaded.

    Raises:
        BadMidiError: if nothing can be read of a file.
        ConfigurationError: if a choice is none, or names no track of any file.
    """
    choices = parse_role_choices(role_map)
    opened = [open_midi(path, choices, keep_programs=keep_programs) for path in paths]
    check_choices(choices, opened)
    return opened


def check_choices(choices: Sequence[RoleChoice], opened: Sequence[OpenMidi]) -> None:
    """See that each choice is about a track of some file.

    Raises:
        ConfigurationError: if one is not.
    """
    for choice in choices:
        if all(choice in item.unknown_choices for item in opened):
            there = "; ".join(map(_names, opened))
            message = f"There is no track {choice.track!r} with notes: {there}."
            raise ConfigurationError(message)


def read_for_model(codec: PhraseCodec, opened: Iterable[OpenMidi]) -> list[ModelReading]:
    """Files on the grid of a model and within its longest phrase.

    All that is rounded, left out and cut is said on stderr.

    Raises:
        BadMidiError: if a song is too long.
    """
    found = []
    for item in opened:
        reading = item.on_grid(codec.grid)
        fitting, cuts = codec.within_limit(reading.song)
        say((*reading.report.lines(), *(f"  {cut}" for cut in cuts)))
        found.append(ModelReading(reading.song, fitting, reading.key, reading.report))
    return found


def _names(opened: OpenMidi) -> str:
    named = (
        f"{track.number} {track.name!r}" if track.name else f"{track.number}"
        for track in opened.midi.tracks
    )
    return f"{opened.path.name} has {', '.join(named)}"


def say(lines: Iterable[str]) -> None:
    """Lines for people, on stderr."""
    for line in lines:
        sys.stderr.write(f"{line}\n")


def list_tracks(paths: Sequence[Path], role_map: Sequence[str] = ()) -> str:
    """The tracks of files and what would become of each, a line a track; and why a file is refused.

    Raises:
        BadMidiError: if a file cannot be parsed.
        ConfigurationError: if a choice is none.
    """
    choices = parse_role_choices(role_map)
    lines = []
    for path in paths:
        tracks = track_reports(parse_midi(path), choices)
        lines += [f"{path.name}: {len(tracks)} tracks with notes"]
        lines += [track.line() for track in tracks]
        try:
            open_midi(path, choices)
        except BadMidiError as error:
            lines.append(f"It would be refused: {error}")
    return "\n".join(lines)
