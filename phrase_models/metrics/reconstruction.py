"""Scores of an autoencoder over songs with intervals, and F1 in the released code's way.

`note_matching` counts the notes and pools them. The released code averages the F1 of single
phrases instead and gives 1 to every empty target whatever came out; `f1_official` does the same.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from phrase_models.metrics.note_matching import (
    SCORE_NAMES,
    PhraseCounts,
    scores_of_totals,
)
from phrase_models.metrics.result import MetricResult, bootstrap_interval, undefined
from phrase_models.score.song import Phrase


def score_songs(song_counts: Sequence[PhraseCounts], *, seed: int = 0) -> list[MetricResult]:
    """Pooled scores with bootstrap intervals over songs.

    Args:
        song_counts: the counts of each song (`add_counts` over its phrases).
        seed: seed of the resampling.
    """
    if not song_counts:
        return [undefined(name, "no songs") for name in SCORE_NAMES]
    table = np.array([astuple(counts) for counts in song_counts], dtype=np.int64)
    whole = scores_of_totals(table.sum(axis=0).tolist())
    results = []
    for name in SCORE_NAMES:

        def score(draw: np.ndarray, name: str = name) -> float:
            return float(getattr(scores_of_totals(table[draw].sum(axis=0).tolist()), name))

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
