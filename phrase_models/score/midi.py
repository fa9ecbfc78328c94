"""MIDI files -> songs of three roles, with a report of all that was left out, moved or cut.

Tracks become roles by `track_roles`, bars begin where `bar_alignment` finds them. What
`midi_writer` wrote comes back as it was.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mido
import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import BadMidiError
from phrase_models.score.bar_alignment import grid_phase, opening_shift
from phrase_models.score.grid import TempoMap, clean_notes, notes_of_table, quantise
from phrase_models.score.midi_file import MidiFile
from phrase_models.score.midi_parser import parse_midi
from phrase_models.score.midi_writer import END_MARKER
from phrase_models.score.reading_report import PartReport, ReadingReport, TrackReport, counted
from phrase_models.score.song import (
    BEATS_PER_BAR,
    ROLE_PROGRAMS,
    STEPS_PER_BAR,
    Note,
    Section,
    Song,
    Track,
)
from phrase_models.score.track_roles import (
    Assignment,
    RoleChoice,
    assign_roles,
    chosen_tracks,
)

Grid = Literal[16, 48]
"""Places a bar that notes are rounded to."""
SECTION_MARKER = re.compile(r"([A-Za-z])-?(\d{1,4})")
MAX_READ_BARS = 2000
"""Longer files are hours of music, or damaged: their bars would fill the memory."""
SAME_SECONDS = 0.5
"""Tempo changes that alter the length by less are not worth a figure."""


@dataclass(frozen=True, slots=True)
class MidiReading:
    """A file as it was read.

    Attributes:
        song: on the grid; its id is the file's name without ending.
        key: of the first key signature, such as "Bb" or "Am"; "C" where there is none.
        report: what became of the notes.
    """

    song: Song
    key: str
    report: ReadingReport


def read_midi(path: Path) -> Song:
    """Read a MIDI file on the grid of 48 steps; see `read_with_report`.

    Tracks that `write_midi` named by a program that is no role keep that program.

    Raises:
        BadMidiError: if the file is missing, broken, empty or not in 4/4.
    """
    return read_with_report(path, keep_programs=True).song


def read_with_report(
    path: Path,
    *,
    choices: Sequence[RoleChoice] = (),
    grid: Grid = 48,
    keep_programs: bool = False,
) -> MidiReading:
    """Read a MIDI file of 4/4; see `open_midi` and `OpenMidi.on_grid`.

    Raises:
        BadMidiError: if the file is missing, broken, empty, not in 4/4, longer than MAX_READ_BARS,
            or all its tracks are left out.
    """
    return open_midi(path, choices, keep_programs=keep_programs).on_grid(grid)


def track_reports(midi: MidiFile, choices: Sequence[RoleChoice] = ()) -> tuple[TrackReport, ...]:
    """What becomes of each track of a file, in its order."""
    return _track_reports(midi, assign_roles(midi, choices))


def _track_reports(midi: MidiFile, assigned: dict[int, Assignment]) -> tuple[TrackReport, ...]:
    return tuple(
        TrackReport(
            track.number,
            track.name,
            track.channel,
            track.program if track.has_program else None,
            len(track.notes),
            assigned[track.number].program,
            assigned[track.number].reason,
        )
        for track in midi.tracks
    )


@dataclass(frozen=True, slots=True)
class OpenMidi:
    """A file whose tracks have roles and whose bars are found; nothing is rounded yet.

    Attributes:
        path: of the file.
        midi: its contents.
        assigned: what becomes of each track, by number.
        tables: notes (N, 4) of every part in ticks; roles first, in their order.
        shift: ticks to add so that bars begin at 0.
        sentences: what was mended, padded or skipped so far.
        unknown_choices: those that name no track of the file.
    """

    path: Path
    midi: MidiFile
    assigned: dict[int, Assignment]
    tables: dict[int, NDArray[np.int64]]
    shift: int
    sentences: tuple[str, ...]
    unknown_choices: tuple[RoleChoice, ...]

    @property
    def tracks(self) -> tuple[TrackReport, ...]:
        """What becomes of each track."""
        return _track_reports(self.midi, self.assigned)

    def on_grid(self, grid: Grid) -> MidiReading:
        """The song on a grid.

        Onsets and ends are rounded apart, half to even. The length is that of the markers where
        they add up, and at least reaches to the bar of the last onset.

        Args:
            grid: places a bar. On one of 16, which is for a model, beats that lie off the grid by
                a constant are shifted onto it.

        Raises:
            BadMidiError: if the song is longer than MAX_READ_BARS.
        """
        midi = self.midi
        played = np.concatenate([*self.tables.values()])
        place = midi.ticks_per_beat * BEATS_PER_BAR / grid
        phase = grid_phase(played[:, 0], place) if grid < STEPS_PER_BAR else 0.0
        rounding = _Rounding(self.shift - phase, place, grid)
        parts = {program: rounding.part(program, table) for program, table in self.tables.items()}
        tracks = tuple(Track(program, notes) for program, (notes, _) in parts.items())
        last_bar = max(track.notes[-1].onset for track in tracks) // STEPS_PER_BAR + 1
        sections, marked = _sections(midi, self.shift, last_bar)
        num_bars = max(last_bar, marked)
        if num_bars > MAX_READ_BARS:
            message = (
                f"File {self.path} is {num_bars} bars long; at most {MAX_READ_BARS} can be read, "
                "so cut it or, if it should be shorter, export it again."
            )
            raise BadMidiError(message)
        tempo, dropped = _tempo(midi, int(played[:, 1].max()))
        shifted = (
            f"All beats lie {phase / midi.ticks_per_beat:+.3f} beats off the grid and are shifted "
            "onto it."
            if phase
            else ""
        )
        later = (shifted, _marker_sentence(midi, sections), dropped, _key_sentence(midi))
        report = ReadingReport(
            self.path.name,
            grid,
            self.tracks,
            tuple(part for _, part in parts.values()),
            (*self.sentences, *(sentence for sentence in later if sentence)),
        )
        song = Song(self.path.stem, num_bars, tracks, sections, tempo)
        key = midi.keys[0][1] if midi.keys else "C"
        return MidiReading(song, key, report)


def open_midi(
    path: Path, choices: Sequence[RoleChoice] = (), *, keep_programs: bool = False
) -> OpenMidi:
    """Parse a file of 4/4, give its tracks roles and find its bars.

    Args:
        path: of the file.
        choices: of the user, for tracks that would become something else.
        keep_programs: whether tracks that are named by a program that is no role keep it; else
            they may get a role as any other.

    Raises:
        BadMidiError: if the file is missing, broken, empty, not in 4/4, or all its tracks are left
            out.
    """
    return open_parsed(parse_midi(path), path, choices, keep_programs=keep_programs)


def open_parsed(
    midi: MidiFile,
    path: Path,
    choices: Sequence[RoleChoice] = (),
    *,
    keep_programs: bool = False,
) -> OpenMidi:
    """As `open_midi`, of a file that was parsed already; its path is for messages and the id.

    Raises:
        BadMidiError: if it is empty, not in 4/4, or all its tracks are left out.
    """
    if not midi.tracks:
        message = f"File {path} holds no notes."
        raise BadMidiError(message)
    assigned = assign_roles(midi, choices, keep_programs=keep_programs)
    tables = _tables(midi, assigned)
    if not tables:
        message = (
            f"File {path} has no track that can be melody, bridge or piano: "
            f"{'; '.join(_left_out(midi, assigned))}."
        )
        raise BadMidiError(message)
    played = np.concatenate([*tables.values()])
    first_onset = int(played[:, 0].min())
    shift, opening = opening_shift(midi, first_onset, int(played[:, 1].max()), path)
    sentences = [*midi.mended, opening]
    bar = BEATS_PER_BAR * midi.ticks_per_beat
    skipped = _silent_bars(first_onset + shift, int(played[:, 0].max()) + shift, bar)
    if skipped:
        shift -= skipped * bar
        sentences.append(f"{counted(skipped, 'silent bar')} before the first note skipped.")
    unknown = tuple(choice for choice in choices if not chosen_tracks(choice, midi))
    said = tuple(sentence for sentence in sentences if sentence)
    return OpenMidi(path, midi, assigned, tables, shift, said, unknown)


def _left_out(midi: MidiFile, assigned: dict[int, Assignment]) -> list[str]:
    return [
        f"track {track.number} ({counted(len(track.notes), 'note')}) is left out, "
        f"{assigned[track.number].reason}"
        for track in midi.tracks
    ]


def _tables(midi: MidiFile, assigned: dict[int, Assignment]) -> dict[int, NDArray[np.int64]]:
    """Notes (N, 4) of every part; roles first, in their order."""
    tables: dict[int, list[NDArray[np.int64]]] = {}
    for track in midi.tracks:
        program = assigned[track.number].program
        if program is not None:
            tables.setdefault(program, []).append(track.notes)
    others = sorted(set(tables) - set(ROLE_PROGRAMS))
    return {
        program: np.concatenate(tables[program])
        for program in (*ROLE_PROGRAMS, *others)
        if program in tables
    }


def _silent_bars(first_onset: int, last_onset: int, bar: int) -> int:
    """Bars before the first note that make a file longer than can be read."""
    too_long = last_onset // bar + 1 > MAX_READ_BARS
    return max(first_onset // bar, 0) if too_long else 0


@dataclass(frozen=True, slots=True)
class _Rounding:
    """Ticks -> steps.

    Attributes:
        shift: ticks that are added before.
        place: ticks of one place of the grid.
        grid: places a bar.
    """

    shift: float
    place: float
    grid: Grid

    def part(self, program: int, table: NDArray[np.int64]) -> tuple[tuple[Note, ...], PartReport]:
        """The notes of a part, and what became of those it was given."""
        exact = table[:, :2] / self.place + self.shift / self.place
        rounded = np.maximum(quantise(exact), 0)
        moves = np.abs(exact - rounded).max(axis=1)
        steps = STEPS_PER_BAR // self.grid
        starts = rounded[:, 0] * steps
        durations = np.maximum(rounded[:, 1] - rounded[:, 0], 1) * steps
        velocities = np.maximum(table[:, 3], 1)
        given = np.column_stack((starts, table[:, 2], durations, velocities))
        kept, num_shortened = clean_notes(given)
        return notes_of_table(kept), PartReport(
            program,
            num_kept=len(kept),
            num_merged=len(given) - len(kept),
            num_moved=int((moves > 1e-9).sum()),
            largest_move=float(moves.max()) * BEATS_PER_BAR / self.grid,
            num_shortened=num_shortened,
        )


def _sections(midi: MidiFile, shift: int, last_bar: int) -> tuple[tuple[Section, ...], int]:
    """Sections and bars that the markers tell of; none where they do not add up.

    They add up if each begins where the one before it ends, the first at bar 0, and the last ends
    no later than the marker of the end or, where there is none, than the music.
    """
    sections: list[Section] = []
    labelled, end, adds_up = 0, None, True
    for tick, text in midi.markers:
        bar = round((tick + shift) / (BEATS_PER_BAR * midi.ticks_per_beat) * STEPS_PER_BAR)
        bar //= STEPS_PER_BAR
        found = SECTION_MARKER.fullmatch(text.strip())
        if text.strip() == END_MARKER:
            end = bar
        elif found:
            adds_up &= bar == labelled and int(found[2]) > 0
            sections.append(Section(found[1], bar, int(found[2])))
            labelled += int(found[2])
    if not adds_up or labelled > (last_bar if end is None else max(end, last_bar)):
        return (), end or 0
    return tuple(sections), max(end or 0, labelled)


def _marker_sentence(midi: MidiFile, sections: Sequence[Section]) -> str:
    others = [text.strip() for _, text in midi.markers if text.strip() != END_MARKER]
    if len(others) == len(sections):
        return ""
    shown = ", ".join(repr(text[:20]) for text in others[:3])
    more = ", ..." if len(others) > 3 else ""
    count = len(others) - len(sections)
    return f"{counted(count, 'marker')} left out, no sections that add up: {shown}{more}."


def _tempo(midi: MidiFile, last_end: int) -> tuple[float, str]:
    """The tempo that lasts longest in the middle, and a sentence where others are dropped.

    It has as few decimals as tell its whole microseconds a beat.
    """
    tempo_map = TempoMap.build(midi.tempos, midi.ticks_per_beat)
    bpm = tempo_map.median_bpm(last_end)
    rounded = (round(bpm, digits) for digits in range(9))
    tempo = next((value for value in rounded if value and _same_tempo(value, bpm)), bpm)
    heard = tempo_map.bpm[tempo_map.ticks < max(last_end, 1)]
    if (heard == heard[0]).all():
        return tempo, ""
    seconds = float(tempo_map.to_seconds(np.array([last_end], np.float64))[0])
    kept = last_end / midi.ticks_per_beat * 60 / tempo
    changed = len(np.flatnonzero(np.diff(heard)))
    lengths = (
        f"{kept:.1f} s long instead of {seconds:.1f} s ({kept - seconds:+.1f} s)"
        if abs(kept - seconds) >= SAME_SECONDS
        else f"as long as before, {seconds:.1f} s"
    )
    left_out = f"{counted(changed, 'tempo change')} left out"
    return tempo, f"{left_out}: all is at {tempo:g} beats a minute, {lengths}."


def _same_tempo(tempo: float, other: float) -> bool:
    return bool(mido.bpm2tempo(tempo) == mido.bpm2tempo(other))


def _key_sentence(midi: MidiFile) -> str:
    keys = [name for _, name in midi.keys]
    changes = sum(1 for name in keys if name != keys[0])
    if changes:
        return f"The key is {keys[0]}; {counted(changes, 'later key signature')} left out."
    return f"The key is {keys[0]}." if keys else ""


def read_texts(path: Path) -> tuple[str, ...]:
    """The text events at the start of a MIDI file, as `write_midi` left them.

    Raises:
        BadMidiError: if the file is missing or broken.
    """
    return tuple(text for text in parse_midi(path).texts if text)


def read_key(path: Path) -> str:
    """The first key signature of a MIDI file, such as "Bb"; "C" where there is none.

    Raises:
        BadMidiError: if the file is missing or broken.
    """
    keys = parse_midi(path).keys
    return keys[0][1] if keys else "C"
