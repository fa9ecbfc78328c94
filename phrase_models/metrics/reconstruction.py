"""How much of a phrase comes back from the autoencoder: F1 over notes, exact phrases.

F1 of a set of phrases, with the counts pooled over the whole set:

    F1 = 2 * matched / (target notes + output notes)

A target note is matched when an output note of the same phrase agrees in

* F1_op: onset and pitch;
* F1_opd: onset, pitch and duration;
* F1_iopd: program, onset, pitch and duration

(paper section 4.2.2). Each note is matched at most once, so doubled notes count (multisets).
Pooling gives every note the same weight. The released code averages the F1 of single phrases
instead and gives 1 to every empty target whatever came out; `f1_official` does the same.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from phrase_models.metrics.result import MetricResult, bootstrap_interval, undefined
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


def _scores(totals: Sequence[float]) -> ReconstructionScores:
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
    return _scores(astuple(add_counts(counts)))


def score_songs(song_counts: Sequence[PhraseCounts], *, seed: int = 0) -> list[MetricResult]:
    """Pooled scores with bootstrap intervals over songs.

    Args:
        song_counts: the counts of each song (`add_counts` over its phrases).
        seed: seed of the resampling.
    """
    if not song_counts:
        return [undefined(name, "no songs") for name in SCORE_NAMES]
    table = np.array([astuple(counts) for counts in song_counts], dtype=np.int64)
    whole = _scores(table.sum(axis=0).tolist())
    results = []
    for name in SCORE_NAMES:

        def score(draw: np.ndarray, name: str = name) -> float:
            return float(getattr(_scores(table[draw].sum(axis=0).tolist()), name))

        low, high = bootstrap_interval(len(table), score, seed=seed)
        if name == "special_accuracy":
            note = f"{whole.num_special} special phrases"
        else:
            note = f"{whole.num_phrases} phrases"
        results.append(MetricResult(name, getattr(whole, name), low, high, len(table), note))
    return results


@dataclass(frozen=True, slots=True)
class OfficialScores:
    """Scores as the released code computes them; nan for an empty set."""

    f1_op: float
    f1_opd: float
    f1_iopd: float


def _longest_durations(phrase: Phrase | None) -> dict[tuple[int, int], int]:
    cells: dict[tuple[int, int], int] = {}
    for note in () if phrase is None else phrase.notes:
        cell = (note.onset, note.pitch)
        cells[cell] = max(note.duration, cells.get(cell, 0))
    return cells


def _cell_f1(correct: int, num_target: int, num_output: int) -> float:
    if not num_target:
        return 1.0
    return 2 * correct / (num_target + num_output)


def f1_official(pairs: Iterable[tuple[Phrase | None, Phrase | None]]) -> OfficialScores:
    """F1 in the released code's way: mean over the phrases of the F1 of each.

    Of notes with equal onset and pitch only the longest is kept (a piano roll of durations). A
    target without notes scores 1 in F1_op and F1_opd whatever came out, so special phrases lift
    the mean. F1_iopd is 1 when both are empty, 0 when only the target is, and otherwise looks at
    the target's program alone, so notes of other programs cost nothing.

    Args:
        pairs: target and output; None for a phrase without notes.
    """
    op: list[float] = []
    opd: list[float] = []
    iopd: list[float] = []
    for target, output in pairs:
        wanted, got = _longest_durations(target), _longest_durations(output)
        same_cells = wanted.keys() & got.keys()
        same_durations = sum(wanted[cell] == got[cell] for cell in same_cells)
        op.append(_cell_f1(len(same_cells), len(wanted), len(got)))
        opd.append(_cell_f1(same_durations, len(wanted), len(got)))
        if target is None or not wanted:
            iopd.append(float(not got))
        else:
            same_program = output is not None and output.program == target.program
            iopd.append(opd[-1] if same_program else 0.0)
    if not op:
        return OfficialScores(math.nan, math.nan, math.nan)
    return OfficialScores(float(np.mean(op)), float(np.mean(opd)), float(np.mean(iopd)))
