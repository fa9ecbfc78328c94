"""Parsers of the text files beside a POP909 song, from both upstream repositories.

Times of the human analysis are beats or 16ths from bar 0; those of POP909's own files seconds.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from phrase_models.errors import BadAnnotationError
from phrase_models.score.song import Section, parse_section_layout

NO_CHORD = -1
PITCH_CLASSES = {
    "C": 0, "C#": 1, "Db": 1, "D": 2, "D#": 3, "Eb": 3, "E": 4, "F": 5, "F#": 6, "Gb": 6,
    "G": 7, "G#": 8, "Ab": 8, "A": 9, "A#": 10, "Bb": 10, "B": 11, "Cb": 11, "E#": 5, "B#": 0,
    "Fb": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TimedChord:
    """A chord by time.

    Attributes:
        start, end: seconds.
        root: pitch class, or NO_CHORD.
    """

    start: float
    end: float
    root: int


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        BadAnnotationError: if it is missing or no text.
    """
    if not path.is_file():
        message = f"File {path.name} of song {path.parent.name} is missing from {path.parent}."
        raise BadAnnotationError(message)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _bad(path, "is not text") from error


def _bad(path: Path, complaint: str) -> BadAnnotationError:
    return BadAnnotationError(f"File {path} {complaint}; mend it or leave the song out.")


def _rows(path: Path) -> list[list[str]]:
    return [line.split() for line in read_text(path).splitlines() if line.strip()]


def read_beats(path: Path) -> list[float]:
    """Seconds of every quarter beat (`beat_midi.txt`)."""
    try:
        beats = [float(row[0]) for row in _rows(path)]
    except ValueError as error:
        raise _bad(path, "holds a line that does not begin with a time") from error
    if len(beats) < 2:
        raise _bad(path, "holds fewer than two beats")
    return beats


def read_timed_chords(path: Path) -> list[TimedChord]:
    """Chords by seconds (`chord_midi.txt`)."""
    try:
        return [TimedChord(float(r[0]), float(r[1]), chord_root(r[2])) for r in _rows(path)]
    except (ValueError, IndexError, KeyError) as error:
        raise _bad(path, "holds a line that is not start, end and chord") from error


def read_beat_roots(path: Path) -> list[int]:
    """Chord root of every beat from bar 0 (`finalized_chord.txt`)."""
    roots: list[int] = []
    try:
        for row in _rows(path):
            roots += [chord_root(row[0])] * int(row[-1])
    except (ValueError, KeyError) as error:
        raise _bad(path, "holds a line that is not a chord with its number of beats") from error
    return roots


def chord_root(name: str) -> int:
    """Pitch class of a chord name such as "Bb:min7/3"; NO_CHORD for "N".

    Raises:
        KeyError: for a name that is no chord.
    """
    root = re.split(r"[:/]", name.replace("\x01", ""))[0]
    return NO_CHORD if root in ("N", "X") else PITCH_CLASSES[root]


def read_melody(path: Path) -> list[tuple[int, int]]:
    """(onset in 16ths from bar 0, pitch) of the analysis (`melody.txt`); rests are skipped."""
    notes: list[tuple[int, int]] = []
    time = 0
    try:
        for pitch, duration in _rows(path):
            if int(pitch):
                notes.append((time, int(pitch)))
            time += int(duration)
    except ValueError as error:
        raise _bad(path, "holds a line that is not pitch and duration") from error
    return notes


def read_key_candidates(path: Path) -> list[int]:
    """Pitch classes of the relative majors of all keys named (`analyzed_key.txt`), in order."""
    majors: list[int] = []
    try:
        for row in _rows(path):
            tonic, _, mode = row[0].partition(":")
            pitch_class = PITCH_CLASSES[tonic]
            majors.append((pitch_class + 3) % 12 if mode.startswith("min") else pitch_class)
    except KeyError as error:
        raise _bad(path, f"names a key {error} that there is not") from error
    if not majors:
        raise _bad(path, "names no key")
    return majors


def read_sections(path: Path) -> tuple[Section, ...]:
    """Section labels (`human_label*.txt`), such as "i4A8B8o2".

    Raises:
        BadAnnotationError: also for a syntax error, which the message quotes.
    """
    text = read_text(path).strip()
    try:
        return parse_section_layout(text)
    except ValueError as error:
        raise _bad(path, f"is no list of sections such as i4A8B8o2 but {text[:40]!r}") from error
