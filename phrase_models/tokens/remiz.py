"""REMI-z phrases: `encode` and `decode` (paper section 3.1).

A phrase is `i-<program>`, then for each distinct onset, upwards, `o-<onset>`, then for each note of
that onset, from the highest pitch, `p-<pitch> d-<duration>`. Silence, end of bar and end of song
are special phrases of one token.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phrase_models.errors import UserError
from phrase_models.score.song import MAX_DURATION, PIANO, Phrase, PhraseNote
from phrase_models.tokens.vocabulary import (
    EMPTY_SLOT,
    END_OF_BAR,
    END_OF_SONG,
    FIRST_DURATION,
    FIRST_ONSET,
    FIRST_PITCH,
    FIRST_PROGRAM,
    TOKEN_IDS,
    TOKENS,
)

SPECIAL_PHRASES = (EMPTY_SLOT, END_OF_BAR, END_OF_SONG)
FALLBACK_PROGRAM = PIANO
"""Program of decoded notes that came without one."""


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """How far tokens were from correct REMI-z.

    Attributes:
        num_repairs: tokens dropped, notes merged and places out of order; 0 exactly where encoding
            the decoded phrase gives the same tokens, or where they are one special phrase.
    """

    num_repairs: int = 0

    def __add__(self, other: "DecodeReport") -> "DecodeReport":
        return DecodeReport(self.num_repairs + other.num_repairs)


_OTHER, _PROGRAM, _ONSET, _PITCH, _DURATION = range(5)
_UNKNOWN = (_OTHER, -1)


def _kind_and_value(token: int) -> tuple[int, int]:
    if token >= FIRST_DURATION:
        return _DURATION, token - FIRST_DURATION + 1
    if token >= FIRST_PITCH:
        return _PITCH, token - FIRST_PITCH
    if token >= FIRST_ONSET:
        return _ONSET, token - FIRST_ONSET
    if token >= FIRST_PROGRAM:
        return _PROGRAM, token - FIRST_PROGRAM
    return _UNKNOWN


_MEANINGS = {token: _kind_and_value(token) for token in range(len(TOKENS))}


def remiz_order(note: PhraseNote) -> tuple[int, int, int]:
    """Sorting key: onset up, then pitch down, then duration down."""
    return (note.onset, -note.pitch, -note.duration)


def tidy_notes(notes: Iterable[PhraseNote]) -> tuple[PhraseNote, ...]:
    """Notes in REMI-z order, one (the longest) for each onset and pitch."""
    tidy: list[PhraseNote] = []
    for note in sorted(notes, key=remiz_order):
        if not tidy or tidy[-1].onset != note.onset or tidy[-1].pitch != note.pitch:
            tidy.append(note)
    return tuple(tidy)


def encode(phrase: Phrase) -> list[int]:
    """A phrase as token ids: `i-`, then per onset `o-` and its notes as `p- d-`.

    No begin and end tokens. Durations may reach over the barline, and are at most 127 steps.
    """
    ids = [FIRST_PROGRAM + phrase.program]
    onset = -1
    for note in sorted(phrase.notes, key=remiz_order):
        if note.onset != onset:
            onset = note.onset
            ids.append(FIRST_ONSET + onset)
        ids.append(FIRST_PITCH + note.pitch)
        ids.append(FIRST_DURATION - 1 + min(note.duration, MAX_DURATION))
    return ids


def decode(ids: Sequence[int]) -> tuple[Phrase | None, DecodeReport]:
    """Token ids as a phrase; total: any sequence of integers gives an answer.

    Each of these is one repair: a token that completes no note (a pitch without duration, an onset
    without note, a second program, an unknown or special token among others), an onset or a pitch
    out of order (notes are sorted), a note that repeats onset and pitch (the longest stays), notes
    without a program (they become `FALLBACK_PROGRAM`), no note at all.

    Args:
        ids: without begin and end tokens.

    Returns:
        The phrase in REMI-z order, or None for a special phrase and for tokens without one whole
        note; and the report.
    """
    if len(ids) == 1 and ids[0] in SPECIAL_PHRASES:
        return None, DecodeReport()
    reader = _PhraseReader()
    for token in ids:
        reader.read(*_MEANINGS.get(token, _UNKNOWN))
    return reader.finish()


class _PhraseReader:
    """A phrase read token by token."""

    __slots__ = (
        "notes",
        "notes_at_onset",
        "onset",
        "pitch",
        "previous_pitch",
        "program",
        "repairs",
    )

    def __init__(self) -> None:
        self.program = -1
        self.onset = -1
        self.notes_at_onset = 0
        self.pitch = -1  # one that waits for its duration
        self.previous_pitch = -1  # of the newest note
        self.notes: list[PhraseNote] = []
        self.repairs = 0

    def read(self, kind: int, value: int) -> None:
        """Take one token."""
        if kind == _DURATION:
            self._read_duration(value)
        elif kind == _PITCH:
            if self.pitch >= 0 or self.onset < 0:
                self.repairs += 1
            if self.onset >= 0:
                self.pitch = value
        elif kind == _ONSET:
            self._close_onset()
            self.repairs += value <= self.onset
            self.onset, self.notes_at_onset = value, 0
        elif kind == _PROGRAM and self.program < 0:
            self.repairs += self.onset >= 0
            self.program = value
        else:
            self.repairs += 1

    def _read_duration(self, duration: int) -> None:
        if self.pitch < 0:
            self.repairs += 1
            return
        if self.notes_at_onset and self.pitch > self.previous_pitch:
            self.repairs += 1
        self.notes.append(PhraseNote(self.onset, self.pitch, duration))
        self.notes_at_onset += 1
        self.previous_pitch, self.pitch = self.pitch, -1

    def _close_onset(self) -> None:
        """An onset ends: a pitch that still waits, and an onset without notes, were for nothing."""
        if self.pitch >= 0:
            self.repairs += 1
            self.pitch = -1
        if self.onset >= 0 and not self.notes_at_onset:
            self.repairs += 1

    def finish(self) -> tuple[Phrase | None, DecodeReport]:
        """The phrase of all tokens read."""
        self._close_onset()
        if not self.notes:
            return None, DecodeReport(max(1, self.repairs))
        if self.program < 0:
            self.program = FALLBACK_PROGRAM
            self.repairs += 1
        notes = tidy_notes(self.notes)
        self.repairs += len(self.notes) - len(notes)
        return Phrase(self.program, notes), DecodeReport(self.repairs)


def to_text(ids: Iterable[int]) -> str:
    """Token ids as text, separated by blanks, such as "i-0 o-0 p-60 d-12"."""
    return " ".join([TOKENS[token] for token in ids])


def from_text(text: str) -> list[int]:
    """Text as token ids.

    Raises:
        UserError: naming the first word that is no token, and its place.
    """
    return words_to_ids(enumerate(text.split(), start=1))


def words_to_ids(words: Iterable[tuple[int, str]]) -> list[int]:
    """Words with their places in a text as token ids.

    Raises:
        UserError: naming the first word that is no token, and its place.
    """
    ids = []
    for place, word in words:
        token = TOKEN_IDS.get(word)
        if token is None:
            message = (
                f"Word {place} of the tokens, {word[:40]!r}, is no REMI-z token such as "
                "i-13, o-0, p-60, d-12 or b-1."
            )
            raise UserError(message)
        ids.append(token)
    return ids
