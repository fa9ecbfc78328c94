"""Phrases that nobody played but somebody could have: parts of two combined, thinned, moved.

Long phrases are what an encoder learns last, for there are few of each length and each is unlike
the others. All of it is arithmetic on the notes of a whole batch, so that it costs a training step
little.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phrase_models.score.song import BEATS_PER_BAR, STEPS_PER_BAR, STEPS_PER_BEAT
from phrase_models.tokens.vocabulary import (
    FIRST_DURATION,
    FIRST_ONSET,
    FIRST_PITCH,
    FIRST_PROGRAM,
    PAD,
)
from phrase_models.vae.phrase_lengths import padded_length

MIN_NOTES = 6
"""Shorter phrases stay as they are: there are enough of them."""
COMBINE, DROP, MOVE = range(3)
SPLIT_PITCHES = (52, 68)
"""Where the hands of a combined phrase meet, from E3 to G#4: one part from here up, one below."""
MOST_DROPPED = 0.5
"""Notes of a thinned phrase that go, at most in the mean."""
MOST_GROWTH = 1.25
"""A phrase that would make its batch so many times wider stays as it was."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Notes:
    """Notes of the rows of a batch, each array (K,).

    Attributes:
        row: which phrase each belongs to, ascending.
        onset: steps from the barline.
        pitch: MIDI number.
        duration: in steps.
    """

    row: Integers
    onset: Integers
    pitch: Integers
    duration: Integers

    def __len__(self) -> int:
        return len(self.row)

    def where(self, chosen: NDArray[np.bool_] | Integers) -> "Notes":
        """Some of them, by mask or index."""
        return Notes(
            self.row[chosen], self.onset[chosen], self.pitch[chosen], self.duration[chosen]
        )

    def followed_by(self, other: "Notes") -> "Notes":
        """These and others, in no order."""
        return Notes(
            np.concatenate((self.row, other.row)),
            np.concatenate((self.onset, other.onset)),
            np.concatenate((self.pitch, other.pitch)),
            np.concatenate((self.duration, other.duration)),
        )

    def tidied(self) -> "Notes":
        """In REMI-z order, one (the longest) for each row, onset and pitch."""
        ordered = self.where(np.lexsort((-self.duration, -self.pitch, self.onset, self.row)))
        same = _same_as_before(ordered.row, ordered.onset, ordered.pitch)
        return ordered.where(~same)


def augment(tokens: Integers, share: float, max_tokens: int, rng: np.random.Generator) -> Integers:
    """Replace some phrases of a batch by new ones of the same program.

    Each phrase of one program and MIN_NOTES notes or more is, with probability `share`, one of
    these in turn by chance:

    * combined: its notes from a pitch up, and those below of another such phrase of the batch;
    * thinned: some of its notes are left out;
    * moved by one to three beats, around the bar.

    What has no note left, is longer than `max_tokens`, or would make the batch much wider, stays.

    Args:
        tokens: phrases (B, T), padded by PAD with room for an end token.
        share: of the phrases that are long enough.
        max_tokens: most tokens of a phrase, without begin and end.
        rng: decides everything.

    Returns:
        Phrases (B, U), valid ones, U at least T.
    """
    num_rows, width = tokens.shape
    notes = read_notes(tokens)
    first, second = tokens[:, 0], tokens[:, 1:]
    num_programs = 1 + ((second >= FIRST_PROGRAM) & (second < FIRST_ONSET)).sum(1)
    num_notes = np.bincount(notes.row, minlength=num_rows)
    may_change = (num_notes >= MIN_NOTES) & (num_programs == 1) & (first >= FIRST_PROGRAM)
    chosen = may_change & (rng.random(num_rows) < share)
    kind = np.where(chosen, rng.integers(3, size=num_rows), -1)
    changed = (
        _combined(notes, first, may_change, kind == COMBINE, rng)
        .followed_by(_thinned(notes, kind == DROP, rng))
        .followed_by(_moved(notes, kind == MOVE, rng))
        .tidied()
    )
    return _written(tokens, changed, min(max_tokens, int(MOST_GROWTH * width)))


def read_notes(tokens: Integers) -> Notes:
    """The notes of valid phrases (B, T)."""
    row, column = np.nonzero(tokens >= FIRST_DURATION)
    is_onset = (tokens >= FIRST_ONSET) & (tokens < FIRST_PITCH)
    newest = np.maximum.accumulate(np.where(is_onset, np.arange(tokens.shape[1]), 0), axis=1)
    return Notes(
        row,
        tokens[row, newest[row, column]] - FIRST_ONSET,
        tokens[row, column - 1] - FIRST_PITCH,
        tokens[row, column] - FIRST_DURATION + 1,
    )


def _combined(
    notes: Notes,
    programs: Integers,
    may_lend: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Notes:
    """Upper part of each wanted row and lower part of another of its program, if both are there."""
    num_rows = len(programs)
    split = rng.integers(*SPLIT_PITCHES, size=num_rows, endpoint=True)
    lender = _partners(programs, may_lend, rng)
    upper = notes.where(wanted[notes.row] & (notes.pitch >= split[notes.row]))
    borrowers = np.flatnonzero(wanted)
    num_notes = np.bincount(notes.row, minlength=num_rows)
    starts = np.cumsum(num_notes) - num_notes
    sizes = num_notes[lender[borrowers]]
    inside = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    lent = notes.where(np.repeat(starts[lender[borrowers]], sizes) + inside)
    lent = Notes(np.repeat(borrowers, sizes), lent.onset, lent.pitch, lent.duration)
    lower = lent.where(lent.pitch < split[lent.row])
    both = np.isin(np.arange(num_rows), upper.row) & np.isin(np.arange(num_rows), lower.row)
    return upper.where(both[upper.row]).followed_by(lower.where(both[lower.row]))


def _partners(
    programs: Integers, may_lend: NDArray[np.bool_], rng: np.random.Generator
) -> Integers:
    """A row of the same program for each row that may lend itself; (B,), 0 for the others."""
    lenders = np.flatnonzero(may_lend)
    lenders = lenders[np.argsort(programs[lenders], kind="stable")]
    start = np.searchsorted(programs[lenders], programs[lenders], side="left")
    end = np.searchsorted(programs[lenders], programs[lenders], side="right")
    partners = np.zeros(len(programs), np.int64)
    drawn = start + (rng.random(len(lenders)) * (end - start)).astype(np.int64)
    partners[lenders] = lenders[drawn]
    return partners


def _thinned(notes: Notes, wanted: NDArray[np.bool_], rng: np.random.Generator) -> Notes:
    dropped = MOST_DROPPED * rng.random(len(wanted))
    stays = rng.random(len(notes)) >= dropped[notes.row]
    return notes.where(wanted[notes.row] & stays)


def _moved(notes: Notes, wanted: NDArray[np.bool_], rng: np.random.Generator) -> Notes:
    beats = rng.integers(1, BEATS_PER_BAR, size=len(wanted))
    moved = notes.where(wanted[notes.row])
    onset = (moved.onset + STEPS_PER_BEAT * beats[moved.row]) % STEPS_PER_BAR
    return Notes(moved.row, onset, moved.pitch, moved.duration)


def _written(tokens: Integers, notes: Notes, most: int) -> Integers:
    """A batch (B, T) in which the rows of the notes, tidy ones, are replaced: (B, U)."""
    num_rows, width = tokens.shape
    opens = ~_same_as_before(notes.row, notes.onset)
    lengths = 1 + np.bincount(notes.row, weights=2 + opens, minlength=num_rows).astype(np.int64)
    fits = (lengths > 1) & (lengths <= most)
    written = np.full((num_rows, max(width, padded_length(int(lengths[fits].max(initial=0))))), PAD)
    written[:, :width] = tokens
    written[fits, 1:] = PAD
    chosen = fits[notes.row]
    notes, opens = notes.where(chosen), opens[chosen]
    ends = np.cumsum(2 + opens)
    row_starts = np.searchsorted(notes.row, np.arange(num_rows))
    before = np.concatenate(([0], ends))[row_starts]
    place = ends - before[notes.row]  # of the duration; the program stands at 0
    written[notes.row, place] = FIRST_DURATION - 1 + notes.duration
    written[notes.row, place - 1] = FIRST_PITCH + notes.pitch
    written[notes.row[opens], place[opens] - 2] = FIRST_ONSET + notes.onset[opens]
    return written


def _same_as_before(*columns: Integers) -> NDArray[np.bool_]:
    """Whether each entry has the values of the one before it in all columns (K,)."""
    same = np.ones(len(columns[0]), np.bool_)
    same[:1] = False
    for column in columns:
        same[1:] &= column[1:] == column[:-1]
    return same
