"""Which token may follow which: REMI-z as a small automaton in tables.

Any phrase that obeys the masks decodes without repair and encodes to the same tokens. The tables
are NumPy arrays, and the rules use nothing but look-ups in them, so that a decoder on any device
can copy the tables and do the same.

The state of a row is three numbers: the class of its last token, the lowest onset that may still
come (onsets go up) and the pitch below which notes may still come (pitches of an onset go down).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phrase_models.tokens.remiz import SPECIAL_PHRASES
from phrase_models.tokens.vocabulary import (
    EOS,
    FIRST_DURATION,
    FIRST_ONSET,
    FIRST_PITCH,
    FIRST_PROGRAM,
    NUM_ONSETS,
    NUM_PITCHES,
    PAD,
    VOCABULARY_SIZE,
)

IntArray = NDArray[np.integer[Any]]

START, PROGRAM, ONSET, PITCH, DURATION, SPECIAL, ENDED = range(7)
"""Classes of the last token; SPECIAL is a phrase of one token, ENDED follows the end token."""
NUM_CLASSES = 7

_CLASS_TOKENS: dict[int, list[int]] = {
    PROGRAM: list(range(FIRST_PROGRAM, FIRST_ONSET)),
    ONSET: list(range(FIRST_ONSET, FIRST_PITCH)),
    PITCH: list(range(FIRST_PITCH, FIRST_DURATION)),
    DURATION: list(range(FIRST_DURATION, VOCABULARY_SIZE)),
    SPECIAL: list(SPECIAL_PHRASES),
    ENDED: [EOS, PAD],
}
_FOLLOWERS = {
    START: _CLASS_TOKENS[PROGRAM] + _CLASS_TOKENS[SPECIAL],
    PROGRAM: _CLASS_TOKENS[ONSET],
    ONSET: _CLASS_TOKENS[PITCH],
    PITCH: _CLASS_TOKENS[DURATION],
    DURATION: [*_CLASS_TOKENS[ONSET], *_CLASS_TOKENS[PITCH], EOS],
    SPECIAL: [EOS],
    ENDED: [PAD],
}
_TOKENS_TO_COMPLETE = {PROGRAM: 4, ONSET: 3, PITCH: 2, DURATION: 1, SPECIAL: 1, ENDED: 0}


def _allowed_table(*, several_phrases: bool) -> NDArray[np.bool_]:
    table = np.zeros((NUM_CLASSES, VOCABULARY_SIZE), np.bool_)
    for token_class, tokens in _FOLLOWERS.items():
        table[token_class, tokens] = True
    if several_phrases:
        table[DURATION, _CLASS_TOKENS[PROGRAM]] = True
    return table


def _per_token(values: dict[int, int], default: int) -> NDArray[np.int64]:
    table = np.full(VOCABULARY_SIZE, default, np.int64)
    for token_class, value in values.items():
        table[_CLASS_TOKENS[token_class]] = value
    return table


def _bounds_table(first: int, count: int, *, upwards: bool) -> NDArray[np.bool_]:
    bounds, values = np.arange(count + 1)[:, None], np.arange(count)
    table = np.ones((count + 1, VOCABULARY_SIZE), np.bool_)
    table[:, first : first + count] = values >= bounds if upwards else values < bounds
    return table


ALLOWED = _allowed_table(several_phrases=False)
"""(NUM_CLASSES, V) bool: tokens that may follow a token of a class."""
ALLOWED_IN_BAR = _allowed_table(several_phrases=True)
"""The same for units of several phrases: after a note another program may begin."""
ONSET_ALLOWED = _bounds_table(FIRST_ONSET, NUM_ONSETS, upwards=True)
"""(49, V) bool: row n forbids the onsets below n, and nothing else."""
PITCH_ALLOWED = _bounds_table(FIRST_PITCH, NUM_PITCHES, upwards=False)
"""(129, V) bool: row n forbids the pitches from n up, and nothing else."""
TOKEN_CLASS = _per_token({token_class: token_class for token_class in _CLASS_TOKENS}, ENDED)
"""(V,) int: class of a token; those that are no part of a phrase end it."""
TOKENS_TO_COMPLETE = _per_token(_TOKENS_TO_COMPLETE, 0)
"""(V,) int: tokens, itself included, that a token needs before the phrase may end."""
KEEP = -1
LOWEST_ONSET_AFTER = np.full(VOCABULARY_SIZE, KEEP, np.int64)
"""(V,) int: lowest onset that may come after a program or an onset token; KEEP for others."""
LOWEST_ONSET_AFTER[FIRST_PROGRAM:FIRST_ONSET] = 0
LOWEST_ONSET_AFTER[FIRST_ONSET:FIRST_PITCH] = np.arange(1, NUM_ONSETS + 1)
PITCH_LIMIT_AFTER = np.full(VOCABULARY_SIZE, KEEP, np.int64)
"""(V,) int: pitch limit after a pitch token, its reset by a program or an onset; else KEEP."""
PITCH_LIMIT_AFTER[FIRST_PROGRAM:FIRST_PITCH] = NUM_PITCHES
PITCH_LIMIT_AFTER[FIRST_PITCH:FIRST_DURATION] = np.arange(NUM_PITCHES)


@dataclass(frozen=True, slots=True)
class GrammarState:
    """Where B rows stand.

    Attributes:
        token_class: class of the last token (B,).
        lowest_onset: onsets from it on may come (B,), 0..48.
        pitch_limit: pitches below it may come (B,), 0..128.
    """

    token_class: IntArray
    lowest_onset: IntArray
    pitch_limit: IntArray

    def keep(self, rows: NDArray[Any]) -> "GrammarState":
        """The state of some rows, by index or by mask."""
        return GrammarState(self.token_class[rows], self.lowest_onset[rows], self.pitch_limit[rows])


class PhraseGrammar:
    """The rules of one phrase, for batches: `initial`, then `mask` and `advance` in turn."""

    @staticmethod
    def initial(batch: int) -> GrammarState:
        """The state before the first token."""
        return GrammarState(
            np.full(batch, START, np.int64),
            np.zeros(batch, np.int64),
            np.full(batch, NUM_PITCHES, np.int64),
        )

    @staticmethod
    def mask(state: GrammarState, remaining: int | None = None) -> NDArray[np.bool_]:
        """Tokens that may come next; each row has at least one.

        Args:
            state: of B rows.
            remaining: tokens that may still be written, without the end token: a token is
                forbidden that would leave a note unfinished. At the start it must be at least 1,
                and the same count must be kept up from the start.

        Returns:
            (B, V) bool.
        """
        allowed = (
            ALLOWED[state.token_class]
            & ONSET_ALLOWED[state.lowest_onset]
            & PITCH_ALLOWED[state.pitch_limit]
        )
        if remaining is not None:
            allowed &= remaining >= TOKENS_TO_COMPLETE
        return allowed

    @staticmethod
    def advance(state: GrammarState, tokens: IntArray) -> GrammarState:
        """The state after one more token in each row.

        Args:
            state: of B rows.
            tokens: (B,) ids, each allowed by the mask of its row.
        """
        onset, limit = LOWEST_ONSET_AFTER[tokens], PITCH_LIMIT_AFTER[tokens]
        return replace(
            state,
            token_class=TOKEN_CLASS[tokens],
            lowest_onset=np.where(onset == KEEP, state.lowest_onset, onset),
            pitch_limit=np.where(limit == KEEP, state.pitch_limit, limit),
        )
