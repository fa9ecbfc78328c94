"""Chords of half bars as small integers: names, text, transposition.

An id is 0 where no chord sounds, else `1 + 4 * root + quality`: root 0..11 (C is 0), quality 0
major, 1 minor, 2 diminished, 3 any other (suspended, augmented). Sevenths, further notes and the
bass are left out. A song has two ids a bar, of beats 1 and 3. A chord that a request leaves open is
-1, written "?".
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.score.key_names import PITCH_CLASSES, key_name
from phrase_models.score.song import BEATS_PER_BAR

NO_CHORD: Final = 0
UNKNOWN_CHORD: Final = -1
"""Of a half bar whose chord is left open."""
_OPEN_NAME: Final = "?"
MAJOR, MINOR, DIMINISHED, OTHER = range(4)
NUM_QUALITIES: Final = 4
NUM_CHORDS: Final = 1 + 12 * NUM_QUALITIES
CHORDS_PER_BAR: Final = 2
BarChords = tuple[int, int]
"""Ids of a bar's first and second half."""

_SUFFIXES: Final = ("", "m", "dim", "sus")
_NAME: Final = re.compile(r"([A-G][#b]?)(?::?)([^/]*)(?:/.*)?")
_QUALITIES: Final = (  # the first that fits
    (re.compile(r"h?dim|o|ø|(?:min|m|-)7?b5"), DIMINISHED),
    (re.compile(r"(?:maj|M|\d)*(?:sus|aug|\+|#5)|\("), OTHER),
    (re.compile(r"min|m(?!aj)|-"), MINOR),
    (re.compile(r"$|maj|M|add|\d"), MAJOR),
)


def chord_id(root: int, quality: int) -> int:
    """Id of a chord.

    Args:
        root: pitch class 0..11.
        quality: MAJOR, MINOR, DIMINISHED or OTHER.

    Raises:
        ValueError: for a root or a quality that there is not.
    """
    if not (0 <= root < 12 and 0 <= quality < NUM_QUALITIES):
        message = f"There is no chord of root {root} and quality {quality}."
        raise ValueError(message)
    return 1 + NUM_QUALITIES * root + quality


def chord_parts(chord: int) -> tuple[int, int] | None:
    """Root and quality of an id 0..48; None for NO_CHORD.

    Raises:
        ValueError: for a number that is no id.
    """
    if not 0 <= chord < NUM_CHORDS:
        message = f"{chord} is no chord: ids are 0 to {NUM_CHORDS - 1}."
        raise ValueError(message)
    return divmod(chord - 1, NUM_QUALITIES) if chord else None


def chord_name(chord: int) -> str:
    """Name of an id: "C", "Am", "Bdim", "Gsus" (any other quality), "N" for none; with flats."""
    parts = chord_parts(chord)
    return "N" if parts is None else key_name(parts[0]) + _SUFFIXES[parts[1]]


def parse_chord_name(name: str) -> int:
    """Id of a chord name, as people write it ("Am7", "G/B") or in Harte's syntax ("A:min7/b3").

    Raises:
        ConfigurationError: for a name that is no chord.
    """
    if name in ("N", "X"):
        return NO_CHORD
    match = _NAME.fullmatch(name)
    root = PITCH_CLASSES.get(match[1]) if match else None
    quality = chord_quality(match[2]) if match else None
    if root is None or quality is None:
        message = f"{name!r} is no chord; write C, Am, Bdim, Gsus, or N where there is none."
        raise ConfigurationError(message)
    return chord_id(root, quality)


def chord_quality(text: str) -> int | None:
    """Quality of what follows a root, such as "m7" or "hdim7"; None if it is not known.

    The triad decides: "7" and "maj9" are major, "minmaj7" is minor.
    """
    return next((quality for pattern, quality in _QUALITIES if pattern.match(text)), None)


def transpose_chord(chord: int, semitones: int) -> int:
    """The chord so many semitones higher; NO_CHORD stays."""
    parts = chord_parts(chord)
    return NO_CHORD if parts is None else chord_id((parts[0] + semitones) % 12, parts[1])


def transpose_chords(chords: NDArray[np.int64], semitones: int) -> NDArray[np.int64]:
    """An array of ids, of any shape, so many semitones higher; NO_CHORD and UNKNOWN_CHORD stay."""
    moved = (chords - 1 + NUM_QUALITIES * semitones) % (NUM_CHORDS - 1) + 1
    return np.where(chords > NO_CHORD, moved, chords)


def chords_of_beats(beats: Sequence[int], num_bars: int) -> tuple[BarChords, ...]:
    """Ids of beats 1 and 3 of every bar out of those of all beats.

    Args:
        beats: an id a beat from bar 0 (B,); beats after the last have NO_CHORD.
        num_bars: bars to give.
    """
    padded = [*beats, *[NO_CHORD] * (BEATS_PER_BAR * num_bars)]
    return tuple(
        (padded[beat], padded[beat + BEATS_PER_BAR // CHORDS_PER_BAR])
        for beat in range(0, BEATS_PER_BAR * num_bars, BEATS_PER_BAR)
    )


def chord_array(chords: Sequence[BarChords], num_bars: int) -> NDArray[np.int64]:
    """Ids of a song (num_bars, 2); NO_CHORD in bars beyond the last one known."""
    array = np.full((num_bars, CHORDS_PER_BAR), NO_CHORD, np.int64)
    known = chords[:num_bars]
    array[: len(known)] = np.array(known, np.int64).reshape(-1, CHORDS_PER_BAR)
    return array


def chord_text(chords: Iterable[Sequence[int]]) -> str:
    """Bars of ids as "C G | Am | ?"; a chord that fills its bar is written once."""
    return " | ".join(
        " ".join(dict.fromkeys(_written(int(chord)) for chord in bar)) for bar in chords
    )


def _written(chord: int) -> str:
    return _OPEN_NAME if chord == UNKNOWN_CHORD else chord_name(chord)


def parse_chords(text: str) -> tuple[BarChords, ...]:
    """Ids out of "C G | Am | N | ?": one chord or two a bar, bars set apart by "|".

    "?" leaves a half bar, or a bar, open.

    Raises:
        ConfigurationError: for a name that is no chord, or a bar with none or more than two.
    """
    bars: list[BarChords] = []
    for number, bar in enumerate(text.strip().strip("|").split("|"), start=1):
        names = bar.split()
        if len(names) not in (1, CHORDS_PER_BAR):
            message = (
                f"Bar {number} of the chords {text[:40]!r} has {len(names)} chords; write one or "
                'two a bar, such as "C G | Am".'
            )
            raise ConfigurationError(message)
        bars.append((_read(names[0]), _read(names[-1])))
    return tuple(bars)


def _read(name: str) -> int:
    return UNKNOWN_CHORD if name == _OPEN_NAME else parse_chord_name(name)
