"""Notes of a phrase that come back: counts, and scores pooled over them (paper section 4.2.2).

F1 of a set of phrases, with the counts pooled over the whole set:

    F1 = 2 * matched / (target notes + output notes)

A target note is matched when an output note of the same phrase agrees in

* F1_op: onset and pitch;
* F1_opd: onset, pitch and duration;
* F1_iopd: program, onset, pitch and duration.

Each note is matched at most once, so doubled notes count (multisets). Pooling gives every note the
same weight. Trainings validate with this module, so it knows songs and nothing else: intervals
and the released code's way of counting are in `reconstruction`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from phrase_models.score.song import Phrase


@dataclass(frozen=True, slots=True)
class PhraseCounts:
    """Counts of one phrase, or added up over many.

    Attributes:
        num_target: notes in the targets.
        num_output: notes in the outputs.
        matched_op: notes that agree in onset and pitch.
        matched_opd: notes that agree in onset, pitch and duration.
        matched_iopd: notes that agree in program, onset, pitch and duration.
        num_phrases: targets that hold notes.
        num_exact: of these, outputs equal in program and notes.
        num_special: targets without notes (empty slot, end of bar, end of song).
        num_special_correct: of these, those that came back as they were.
    """

    num_target: int = 0
    num_output: int = 0
    matched_op: int = 0
    matched_opd: int = 0
    matched_iopd: int = 0
    num_phrases: int = 0
    num_exact: int = 0
    num_special: int = 0
    num_special_correct: int = 0

    def __add__(self, other: "PhraseCounts") -> "PhraseCounts":
        """Counts of both."""
        return PhraseCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class ReconstructionScores:
    """Scores of a set of phrases; each is nan where nothing was there to be scored."""

    f1_op: float
    f1_opd: float
    f1_iopd: float
    exact_phrase_rate: float
    special_accuracy: float
    num_phrases: int
    num_special: int


SCORE_NAMES = ("f1_op", "f1_opd", "f1_iopd", "exact_phrase_rate", "special_accuracy")


def _matched(target: Iterable[object], output: Iterable[object]) -> int:
    return (Counter(target) & Counter(output)).total()


def count_bar(
    target: Sequence[Phrase],
    output: Sequence[Phrase],
    *,
    special_correct: bool | None = None,
) -> PhraseCounts:
    """Compare the phrases of one bar; see `count_phrase`.

    For models whose unit is a whole bar; F1_op and F1_opd then ignore which program plays.
    """
    target_notes = [(phrase.program, note) for phrase in target for note in phrase.notes]
    output_notes = [(phrase.program, note) for phrase in output for note in phrase.notes]
    is_special = not target_notes
    if special_correct is None:
        special_correct = not output_notes
    return PhraseCounts(
        num_target=len(target_notes),
        num_output=len(output_notes),
        matched_op=_matched(
            ((note.onset, note.pitch) for _, note in target_notes),
            ((note.onset, note.pitch) for _, note in output_notes),
        ),
        matched_opd=_matched(
            (note for _, note in target_notes), (note for _, note in output_notes)
        ),
        matched_iopd=_matched(target_notes, output_notes),
        num_phrases=int(not is_special),
        num_exact=int(not is_special and Counter(target_notes) == Counter(output_notes)),
        num_special=int(is_special),
        num_special_correct=int(is_special and special_correct),
    )


def count_phrase(
    target: Phrase | None, output: Phrase | None, *, special_correct: bool | None = None
) -> PhraseCounts:
    """Compare one output with its target.

    Args:
        target: the phrase that went in; None for a special phrase (empty slot, end of bar, end of
            song), which holds no notes.
        output: the phrase that came out, None if it holds no notes. Notes that come out of a
            special phrase count as wrong notes.
        special_correct: for a special target, whether the right special phrase came out; by
            default, whether no notes came out.
    """
    return count_bar(
        () if target is None else (target,),
        () if output is None else (output,),
        special_correct=special_correct,
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def scores_of_totals(totals: Sequence[float]) -> ReconstructionScores:
    """Scores from the nine totals, in the order of the fields of `PhraseCounts`."""
    num_target, num_output, op, opd, iopd, phrases, exact, special, special_correct = totals
    num_notes = num_target + num_output
    return ReconstructionScores(
        f1_op=_ratio(2 * op, num_notes),
        f1_opd=_ratio(2 * opd, num_notes),
        f1_iopd=_ratio(2 * iopd, num_notes),
        exact_phrase_rate=_ratio(exact, phrases),
        special_accuracy=_ratio(special_correct, special),
        num_phrases=int(phrases),
        num_special=int(special),
    )


def add_counts(counts: Iterable[PhraseCounts]) -> PhraseCounts:
    """Counts added up, for instance over the phrases of one song."""
    rows = np.array([astuple(count) for count in counts], dtype=np.int64)
    if not len(rows):
        return PhraseCounts()
    return PhraseCounts(*(int(total) for total in rows.sum(axis=0)))


def pool(counts: Iterable[PhraseCounts]) -> ReconstructionScores:
    """Scores of a set, with the counts pooled (formula in the module's docstring).

    Undefined (nan): the three F1 without any note on either side, exact_phrase_rate without a
    phrase, special_accuracy without a special phrase.
    """
    return scores_of_totals(astuple(add_counts(counts)))
