"""Songs as frozen values on a time grid of 48 steps a bar (12 a beat, 4/4).

Nothing here knows files, tokens or tensors.
"""

from dataclasses import dataclass, field

STEPS_PER_BEAT = 12
BEATS_PER_BAR = 4
STEPS_PER_BAR = STEPS_PER_BEAT * BEATS_PER_BAR
SIXTEENTH = 3  # steps
MAX_DURATION = 127  # steps; longer notes are shortened to it
MAX_BARS = 128

MELODY, BRIDGE, PIANO = 13, 25, 0
"""General MIDI programs that mark the three roles of POP909 (REMI-z convention)."""
ROLE_PROGRAMS = (MELODY, BRIDGE, PIANO)
ROLE_NAMES = {MELODY: "Melody", BRIDGE: "Bridge", PIANO: "Piano"}
ROLES_BY_WORD = {name.lower(): role for role, name in ROLE_NAMES.items()}
"""Programs of the roles by the words that people type."""


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note of a song.

    Attributes:
        onset: steps from the start of bar 0.
        pitch: MIDI number, 0..127.
        duration: steps, 1..127; may reach over the barline.
        velocity: MIDI velocity, 1..127.
    """

    onset: int
    pitch: int
    duration: int
    velocity: int = 96


@dataclass(frozen=True, slots=True)
class Track:
    """All notes of one program, sorted by (onset, pitch)."""

    program: int
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A labelled run of bars.

    Attributes:
        label: one letter; upper case is sung (A, B, ...), lower case is not (i intro, o outro).
        start_bar: index of the first bar.
        num_bars: length in bars.
    """

    label: str
    start_bar: int
    num_bars: int


@dataclass(frozen=True, slots=True)
class Song:
    """A whole song on the grid.

    Attributes:
        song_id: name, such as "001".
        num_bars: bars of 4/4.
        tracks: at most one a program, in the order of ROLE_PROGRAMS where they are roles.
        sections: contiguous from bar 0, or empty where unknown.
        tempo_bpm: beats a minute.
        key_shift: semitones that were added to reach C major or A minor; subtract to undo.
        chords: of every bar the ids (`phrase_models.score.chords`) of beats 1 and 3, or empty where
            unknown.
    """

    song_id: str
    num_bars: int
    tracks: tuple[Track, ...]
    sections: tuple[Section, ...] = field(default=())
    tempo_bpm: float = 90.0
    key_shift: int = 0
    chords: tuple[tuple[int, int], ...] = field(default=())

    @property
    def num_notes(self) -> int:
        """Notes over all tracks."""
        return sum(len(track.notes) for track in self.tracks)


@dataclass(frozen=True, slots=True, order=True)
class PhraseNote:
    """A note within its bar: onset 0..47 steps from the barline, pitch, duration in steps."""

    onset: int
    pitch: int
    duration: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """What one program plays in one bar, in REMI-z order.

    Order of the notes: onset up, then pitch down, then duration down (paper section 3.1).
    """

    program: int
    notes: tuple[PhraseNote, ...]

    @property
    def mean_pitch(self) -> float:
        """Unweighted mean of the pitches; phrases of a bar are ordered by it, descending."""
        return sum(note.pitch for note in self.notes) / len(self.notes)


def parse_section_layout(text: str) -> tuple[Section, ...]:
    """Read a layout such as "i4A8 A8 b4" or "i-4 A-8" into contiguous sections from bar 0.

    Raises:
        ValueError: with a plain sentence, if the text is not a list of letter and length.
    """
    import re

    compact = re.sub(r"[\s,\-\[\]]", "", text)
    if not re.fullmatch(r"(?:[A-Za-z]\d+)+", compact):
        message = (
            f"Section layout {text!r} is not a list of letters with numbers of bars, "
            "such as 'i4 A8 B8 o2'."
        )
        raise ValueError(message)
    sections: list[Section] = []
    start = 0
    for label, length in re.findall(r"([A-Za-z])(\d+)", compact):
        if int(length) == 0:
            message = f"Section layout {text!r} has a section of 0 bars; each needs at least 1."
            raise ValueError(message)
        sections.append(Section(label, start, int(length)))
        start += int(length)
    return tuple(sections)


def format_section_layout(sections: tuple[Section, ...]) -> str:
    """Write sections as "i4 A8 b4"."""
    return " ".join(f"{section.label}{section.num_bars}" for section in sections)
