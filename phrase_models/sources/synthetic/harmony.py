"""Keys, chords and chord progressions of composed songs.

Harmony is written relative to C major and A minor, the keys every song is normalised to; the
names in annotation files are those of the key that the song is written out in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from phrase_models.score.song import BEATS_PER_BAR

CHORD_ROOT_NAMES: Final = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEY_ROOT_NAMES: Final = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
QUALITY_INTERVALS: Final = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "dim": (0, 3, 6),
}
MAJOR_PROGRESSIONS: Final = (
    "C G Am F",
    "F G Em Am",
    "C Am F G",
    "Am F C G",
    "C Em F G",
    "Dm G C Am",
    "F C Dm G",
    "C G/3 Am Em F C/3 Dm G",
    "C Em Am G F Em Dm G",
    "F G C Am Dm Em F G",
    "C Am Dm G Em Am Dm G",
    "F Em Dm C",
)
MINOR_PROGRESSIONS: Final = (
    "Am F C G",
    "Am Em F C",
    "Am G F E",
    "Am Dm G C F Bdim E Am",
    "F G Am Am",
    "Am C G Dm",
    "Dm Am F E",
    "Am F Dm E",
    "F G Em Am Dm G C E",
)
CADENCES: Final = {False: ("G", "Gsus4", "C", "G7"), True: ("E", "E7", "Am", "G")}
DECORATED: Final = {
    "C": ("C", "C", "Cmaj7", "C/3", "Csus2"),
    "F": ("F", "F", "Fmaj7", "Fsus2", "F/3"),
    "G": ("G", "G", "Gsus4", "G/3", "G7"),
    "Am": ("Am", "Am", "Am7", "Am/5"),
    "Dm": ("Dm", "Dm", "Dm7", "Dm/3"),
    "Em": ("Em", "Em", "Em7"),
    "E": ("E", "E", "E7"),
}
_NATURAL: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord that lasts some beats.

    Attributes:
        root: pitch class of the root, relative to C major or A minor.
        quality: a name of QUALITY_INTERVALS.
        bass: pitch class of the lowest note, one of the chord's.
        num_beats: length in beats.
    """

    root: int
    quality: str
    bass: int
    num_beats: int = BEATS_PER_BAR

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Pitch classes from the root upwards."""
        return tuple((self.root + interval) % 12 for interval in QUALITY_INTERVALS[self.quality])

    def lasting(self, num_beats: int) -> "Chord":
        """The same chord with another length in beats."""
        return Chord(self.root, self.quality, self.bass, num_beats)

    def moved(self, semitones: int) -> "Chord":
        """The same chord `semitones` higher."""
        return Chord(
            (self.root + semitones) % 12, self.quality, (self.bass + semitones) % 12, self.num_beats
        )

    def name(self, transposition: int = 0) -> str:
        """Harte-like name as in POP909, "Bb:min" or "C:maj/3", moved up by `transposition`."""
        bass_names = {3: "b3", 4: "3", 6: "b5", 7: "5", 10: "b7", 11: "7"}
        interval = (self.bass - self.root) % 12
        suffix = f"/{bass_names[interval]}" if interval else ""
        return f"{CHORD_ROOT_NAMES[(self.root + transposition) % 12]}:{self.quality}{suffix}"


@dataclass(frozen=True, slots=True)
class Key:
    """A key a song is written out in: pitch class of the tonic, and the mode."""

    tonic: int
    minor: bool

    @property
    def name(self) -> str:
        """Name as in the key files, such as "Gb:maj"."""
        return f"{KEY_ROOT_NAMES[self.tonic]}:{'min' if self.minor else 'maj'}"

    @property
    def key_shift(self) -> int:
        """Semitones, -6..5, that take this key to C major or A minor."""
        relative_major = (self.tonic + 3 * self.minor) % 12
        return -relative_major if relative_major <= 6 else 12 - relative_major

    def moved(self, semitones: int) -> "Key":
        """The key `semitones` higher."""
        return Key((self.tonic + semitones) % 12, self.minor)


def pick(generator: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(generator.integers(len(options)))]


def chance(generator: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(generator.random() < probability)


def parse_chord(symbol: str) -> Chord:
    """Read "Am7", "Gsus4" or "C/3" (third or fifth in the bass) into a chord of one bar."""
    body, _, inversion = symbol.partition("/")
    root, rest = _NATURAL[body[0]], body[1:]
    quality = {"": "maj", "m": "min", "m7": "min7"}.get(rest, rest)
    member = {"": 0, "3": 1, "5": 2}[inversion]
    return Chord(root, quality, (root + QUALITY_INTERVALS[quality][member]) % 12)


def write_progression(
    generator: np.random.Generator, num_bars: int, *, minor: bool, chords_per_bar: int
) -> tuple[tuple[Chord, ...], ...]:
    """Write the chords of a section: a loop, now and then decorated, with a cadence at the end.

    Args:
        generator: source of all choices.
        num_bars: length of the section.
        minor: whether the song is in A minor.
        chords_per_bar: 1 or 2.

    Returns:
        For every bar its chords; their beats sum to 4.
    """
    symbols = pick(generator, MINOR_PROGRESSIONS if minor else MAJOR_PROGRESSIONS).split()
    loop = [
        pick(generator, DECORATED[symbol])
        if symbol in DECORATED and chance(generator, 0.3)
        else symbol
        for symbol in symbols
    ]
    bars: list[tuple[Chord, ...]] = []
    for bar in range(num_bars):
        if chords_per_bar == 1:
            bars.append((parse_chord(loop[bar % len(loop)]),))
        else:
            pair = (loop[(2 * bar + half) % len(loop)] for half in (0, 1))
            bars.append(tuple(parse_chord(symbol).lasting(2) for symbol in pair))
    if num_bars >= 4 and chance(generator, 0.5):
        bars[-1] = (parse_chord(pick(generator, CADENCES[minor])),)
    return tuple(bars)


def chord_at(chords: tuple[Chord, ...], beat: float) -> Chord:
    """The chord of a bar that sounds at a beat of it (0..4)."""
    end = 0
    for chord in chords:
        end += chord.num_beats
        if beat < end:
            return chord
    return chords[-1]


def merge_repeats(bars: Sequence[tuple[Chord, ...]]) -> list[Chord]:
    """Flatten bars of chords into one line, joining equal chords within a bar."""
    line: list[Chord] = []
    for bar in bars:
        first_of_bar = len(line)
        for chord in bar:
            if len(line) > first_of_bar and line[-1].lasting(chord.num_beats) == chord:
                line[-1] = chord.lasting(line[-1].num_beats + chord.num_beats)
            else:
                line.append(chord)
    return line
