"""Parsers of the text files beside a POP909 song, from both upstream repositories.

Times of the human analysis are beats or 16ths from bar 0; those of POP909's own files seconds.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from phrase_models.errors import BadAnnotationError
from phrase_models.score.chords import NO_CHORD, OTHER, chord_id, chord_parts, chord_quality
from phrase_models.score.key_names import PITCH_CLASSES
from phrase_models.score.song import BEATS_PER_BAR, Section, parse_section_layout

NO_ROOT = -1
MAX_BARS_READ = 4096
"""Longer annotations are damaged ones; the limit keeps them from filling the memory."""
MAX_SECONDS = 36_000.0
RELATIVE_MAJOR = {"maj": 0, "min": 3}
"""Semitones from a tonic up to that of the relative major."""


class MissingFileError(BadAnnotationError):
    """A file that every song needs is not there."""


class BadLabelError(BadAnnotationError):
    """A section label that does not follow its syntax."""


@dataclass(frozen=True, slots=True)
class TimedChord:
    """A chord by time.

    Attributes:
        start, end: seconds.
        root: pitch class, or NO_ROOT.
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
        raise MissingFileError(message)
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows' editors put a mark in front
    except UnicodeDecodeError as error:
        raise _bad(path, "is not text") from error
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror or error})") from error


def _bad(path: Path, complaint: str) -> BadAnnotationError:
    return BadAnnotationError(f"File {path} {complaint}; mend it or leave the song out.")


def _check_length(path: Path, length: int, limit: int, unit: str) -> None:
    if length > limit:
        raise _bad(path, f"spans {length} {unit}, more than the {limit} that are read")


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or abs(value) > MAX_SECONDS:
        message = f"{text} is no time within ten hours"
        raise ValueError(message)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        message = f"{text} is negative"
        raise ValueError(message)
    return value


def _pitch(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 127:
        message = f"{text} is no MIDI pitch"
        raise ValueError(message)
    return value


def _rows(path: Path) -> list[list[str]]:
    return [line.split() for line in read_text(path).splitlines() if line.strip()]


def read_beats(path: Path) -> list[float]:
    """Seconds of every quarter beat (`beat_midi.txt`)."""
    try:
        beats = [_seconds(row[0]) for row in _rows(path)]
    except ValueError as error:
        raise _bad(path, "holds a line that does not begin with a time") from error
    if len(beats) < 2:
        raise _bad(path, "holds fewer than two beats")
    return beats


def read_timed_chords(path: Path) -> list[TimedChord]:
    """Chords by seconds (`chord_midi.txt`)."""
    try:
        chords = [TimedChord(_seconds(r[0]), _seconds(r[1]), chord_root(r[2])) for r in _rows(path)]
    except (ValueError, IndexError, KeyError) as error:
        raise _bad(path, "holds a line that is not start, end and chord") from error
    if not chords:
        raise _bad(path, "holds no chord")
    return chords


def read_beat_chords(path: Path) -> list[int]:
    """Chord id of every beat from bar 0 (`finalized_chord.txt`), in the written key."""
    try:
        rows = [(annotated_chord(row[0]), _count(row[-1])) for row in _rows(path)]
    except (ValueError, KeyError) as error:
        raise _bad(path, "holds a line that is not a chord with its number of beats") from error
    num_beats = sum(length for _, length in rows)
    _check_length(path, num_beats, BEATS_PER_BAR * MAX_BARS_READ, "beats")
    if not num_beats:
        raise _bad(path, "holds no chord")
    return [chord for chord, length in rows for _ in range(length)]


def annotated_chord(name: str) -> int:
    """Chord id of a name such as "Bb:min7/3"; a quality that has no name of ours counts as other.

    Raises:
        KeyError: for a name that is no chord.
    """
    root = chord_root(name)
    if root == NO_ROOT:
        return NO_CHORD
    quality = chord_quality(name.partition(":")[2].partition("/")[0])
    return chord_id(root, OTHER if quality is None else quality)


def chord_root(name: str) -> int:
    """Pitch class of a chord name such as "Bb:min7/3"; NO_ROOT for "N".

    Raises:
        KeyError: for a name that is no chord.
    """
    root = re.split(r"[:/]", name.replace("\x01", ""))[0]
    return NO_ROOT if root in ("N", "X") else PITCH_CLASSES[root]


def root_of(chord: int) -> int:
    """Pitch class of the root of a chord id; NO_ROOT where there is none."""
    parts = chord_parts(chord)
    return NO_ROOT if parts is None else parts[0]


def read_melody(path: Path) -> list[tuple[int, int]]:
    """(onset in 16ths from bar 0, pitch) of the analysis (`melody.txt`); rests are skipped."""
    notes: list[tuple[int, int]] = []
    time = 0
    try:
        for pitch, duration in _rows(path):
            if _pitch(pitch):
                notes.append((time, int(pitch)))
            time += _count(duration)
    except ValueError as error:
        raise _bad(path, "holds a line that is not pitch and duration") from error
    _check_length(path, time, 4 * BEATS_PER_BAR * MAX_BARS_READ, "16ths")
    if not notes:
        raise _bad(path, "holds no note")
    return notes


def read_key_candidates(path: Path) -> list[int]:
    """Pitch classes of the relative majors of all keys named (`analyzed_key.txt`), in order."""
    majors: list[int] = []
    try:
        for row in _rows(path):
            tonic, _, mode = row[0].partition(":")
            majors.append((PITCH_CLASSES[tonic] + RELATIVE_MAJOR[mode]) % 12)
    except KeyError as error:
        raise _bad(path, f"names a key {error} that there is not") from error
    if not majors:
        raise _bad(path, "names no key")
    return majors


def read_sections(path: Path) -> tuple[Section, ...]:
    """Section labels (`human_label*.txt`), such as "i4A8B8o2".

    Raises:
        BadAnnotationError: if it is missing or no text.
        BadLabelError: for a syntax error, which the message quotes.
    """
    text = " ".join(read_text(path).split())
    # "A8 9" is no A89, though a layout may have blanks between its sections.
    if not re.fullmatch(r"(?:[A-Za-z]-?\d{1,4}[ ,]*)+", text):
        raise _bad_label(path, text)
    try:
        sections = parse_section_layout(text)
    except ValueError as error:
        raise _bad_label(path, text) from error
    if sections[-1].start_bar + sections[-1].num_bars > MAX_BARS_READ:
        raise _bad_label(path, text)
    return sections


def _bad_label(path: Path, text: str) -> BadLabelError:
    return BadLabelError(
        f"File {path} is no list of sections such as i4A8B8o2 but {text[:40]!r}; "
        "mend it or leave the song out."
    )
