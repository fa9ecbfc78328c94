"""REMI-z phrases: `encode` and `decode` (paper section 3.1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phrase_models.errors import UserError
from phrase_models.score.song import MAX_DURATION, Phrase, PhraseNote
from phrase_models.tokens import vocabulary


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """What a sequence of tokens needed to become a phrase.

    Attributes:
        num_repairs: tokens that did not fit the grammar and were dropped.
    """

    num_repairs: int = 0

    def __add__(self, other: "DecodeReport") -> "DecodeReport":
        return DecodeReport(self.num_repairs + other.num_repairs)


def remiz_order(note: PhraseNote) -> tuple[int, int, int]:
    """Sorting key: onset up, then pitch down, then duration down."""
    return (note.onset, -note.pitch, -note.duration)


def encode(phrase: Phrase) -> list[int]:
    """A phrase as token ids: `i-`, then per onset `o-` and its notes as `p- d-`.

    No begin and end tokens. Durations may reach over the barline, and are at most 127 steps.
    """
    ids = [vocabulary.program_id(phrase.program)]
    onset = -1
    for note in sorted(phrase.notes, key=remiz_order):
        if note.onset != onset:
            onset = note.onset
            ids.append(vocabulary.onset_id(onset))
        ids.append(vocabulary.pitch_id(note.pitch))
        ids.append(vocabulary.duration_id(min(note.duration, MAX_DURATION)))
    return ids


def decode(ids: Sequence[int]) -> tuple[Phrase | None, DecodeReport]:
    """Token ids as a phrase; total: any sequence of ids gives an answer.

    A special phrase, and a sequence without a program or without notes, holds no music: None.

    Args:
        ids: without begin and end tokens.

    Returns:
        The phrase in REMI-z order, and how many tokens had to be dropped or moved.
    """
    if len(ids) == 1 and ids[0] in _SPECIAL:
        return None, DecodeReport()
    program, onset, pitch, repairs = -1, -1, -1, 0
    notes: list[PhraseNote] = []
    for token in ids:
        if _is(token, vocabulary.FIRST_PROGRAM, vocabulary.FIRST_ONSET) and program < 0:
            program = token - vocabulary.FIRST_PROGRAM
        elif _is(token, vocabulary.FIRST_ONSET, vocabulary.FIRST_PITCH) and pitch < 0:
            onset = token - vocabulary.FIRST_ONSET
        elif _is(token, vocabulary.FIRST_PITCH, vocabulary.FIRST_DURATION) and onset >= 0:
            repairs += pitch >= 0
            pitch = token - vocabulary.FIRST_PITCH
        elif _is(token, vocabulary.FIRST_DURATION, vocabulary.VOCABULARY_SIZE) and pitch >= 0:
            notes.append(PhraseNote(onset, pitch, token - vocabulary.FIRST_DURATION + 1))
            pitch = -1
        else:
            repairs += 1
    repairs += pitch >= 0
    ordered = sorted(notes, key=remiz_order)
    repairs += sum(a is not b for a, b in zip(notes, ordered, strict=True))
    distinct = _without_doubles(ordered)
    repairs += len(ordered) - len(distinct)
    if program < 0 or not distinct:
        return None, DecodeReport(repairs + 1)
    return Phrase(program, tuple(distinct)), DecodeReport(repairs)


_SPECIAL = (vocabulary.EMPTY_SLOT, vocabulary.END_OF_BAR, vocabulary.END_OF_SONG)


def _is(token: int, first: int, end: int) -> bool:
    return first <= token < end


def _without_doubles(notes: Iterable[PhraseNote]) -> list[PhraseNote]:
    """Of notes with equal onset and pitch the longest, which comes first in REMI-z order."""
    kept: dict[tuple[int, int], PhraseNote] = {}
    for note in notes:
        kept.setdefault((note.onset, note.pitch), note)
    return list(kept.values())


def to_text(ids: Sequence[int]) -> str:
    """Token ids as text, separated by blanks."""
    return " ".join(vocabulary.TOKENS[token] for token in ids)


def from_text(text: str) -> list[int]:
    """Text as token ids.

    Raises:
        UserError: naming the first word that is no token, and its place.
    """
    ids = []
    for place, word in enumerate(text.split(), start=1):
        token = vocabulary.TOKEN_IDS.get(word)
        if token is None:
            message = (
                f"Word {place} of the tokens, {word!r}, is no REMI-z token such as "
                "i-13, o-0, p-60, d-12 or b-1."
            )
            raise UserError(message)
        ids.append(token)
    return ids
