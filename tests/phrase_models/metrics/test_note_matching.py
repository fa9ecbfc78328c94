import math
import subprocess
import sys
from fractions import Fraction

from phrase_models.metrics.note_matching import (
    PhraseCounts,
    add_counts,
    count_bar,
    count_phrase,
    pool,
)
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Phrase, PhraseNote


def make_phrase(*notes, program=PIANO):
    return Phrase(program, tuple(PhraseNote(*note) for note in notes))


TARGET = make_phrase((0, 60, 12), (12, 62, 12), (24, 64, 12), (36, 65, 12))


def test_three_levels_are_exact_fractions():
    # Of four target notes: one equal, one with another duration, one with another pitch, one
    # missing; the output has three notes.
    output = make_phrase((0, 60, 12), (12, 62, 6), (24, 63, 12))
    scores = pool([count_phrase(TARGET, output)])
    assert scores.f1_op == float(Fraction(2 * 2, 4 + 3))
    assert scores.f1_opd == float(Fraction(2 * 1, 4 + 3))
    assert scores.f1_iopd == float(Fraction(2 * 1, 4 + 3))
    assert scores.exact_phrase_rate == 0.0
    assert math.isnan(scores.special_accuracy)


def test_a_wrong_program_costs_only_iopd_and_exactness():
    output = Phrase(BRIDGE, TARGET.notes)
    scores = pool([count_phrase(TARGET, output)])
    assert (scores.f1_op, scores.f1_opd, scores.f1_iopd) == (1.0, 1.0, 0.0)
    assert scores.exact_phrase_rate == 0.0


def test_a_perfect_output_scores_one_everywhere():
    scores = pool([count_phrase(TARGET, TARGET), count_phrase(None, None)])
    assert (scores.f1_op, scores.f1_opd, scores.f1_iopd) == (1.0, 1.0, 1.0)
    assert (scores.exact_phrase_rate, scores.special_accuracy) == (1.0, 1.0)
    assert (scores.num_phrases, scores.num_special) == (1, 1)


def test_notes_out_of_an_empty_target_are_wrong_notes():
    scores = pool([count_phrase(None, TARGET)])
    assert (scores.f1_op, scores.f1_opd, scores.f1_iopd) == (0.0, 0.0, 0.0)
    assert scores.special_accuracy == 0.0
    assert scores.num_phrases == 0


def test_nothing_out_of_a_phrase_scores_zero():
    scores = pool([count_phrase(TARGET, None)])
    assert (scores.f1_op, scores.f1_opd, scores.f1_iopd) == (0.0, 0.0, 0.0)


def test_both_empty_contributes_no_notes():
    alone = pool([count_phrase(None, None)])
    assert math.isnan(alone.f1_op)
    assert math.isnan(alone.exact_phrase_rate)
    with_empty = pool([count_phrase(TARGET, None), count_phrase(TARGET, TARGET)])
    more_empty = pool(
        [count_phrase(TARGET, None), count_phrase(TARGET, TARGET), *[count_phrase(None, None)] * 50]
    )
    assert with_empty.f1_op == more_empty.f1_op == float(Fraction(2 * 4, 8 + 4))


def test_the_right_special_phrase_can_be_told_apart():
    wrong_kind = count_phrase(None, None, special_correct=False)
    assert pool([wrong_kind, count_phrase(None, None)]).special_accuracy == 0.5


def test_doubled_notes_are_matched_once_each():
    doubled = make_phrase((0, 60, 12), (0, 60, 12))
    assert pool([count_phrase(doubled, make_phrase((0, 60, 12)))]).f1_op == float(Fraction(2, 3))
    assert pool([count_phrase(make_phrase((0, 60, 12)), doubled)]).f1_op == float(Fraction(2, 3))
    assert pool([count_phrase(doubled, doubled)]).exact_phrase_rate == 1.0


def test_counts_are_pooled_not_averaged():
    long_right = count_phrase(TARGET, TARGET)
    short_wrong = count_phrase(make_phrase((0, 40, 3)), make_phrase((0, 41, 3)))
    assert pool([long_right, short_wrong]).f1_op == float(Fraction(2 * 4, 5 + 5))


def test_bars_ignore_the_program_in_op_and_opd():
    melody = make_phrase((0, 72, 12), program=MELODY)
    swapped = [Phrase(MELODY, TARGET.notes), Phrase(PIANO, melody.notes)]
    counts = count_bar([melody, TARGET], swapped)
    assert (counts.matched_op, counts.matched_opd, counts.matched_iopd) == (5, 5, 0)


def test_counts_add_up():
    one, two = count_phrase(TARGET, None), count_phrase(None, TARGET)
    assert one + two == add_counts([one, two])
    assert add_counts([]) == PhraseCounts()


def test_trainings_load_no_other_metric_with_it():
    code = (
        "import sys; import phrase_models.metrics.note_matching; "
        "print(*sorted(n for n in sys.modules if n.startswith('phrase_models.')))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [
        "phrase_models.metrics",
        "phrase_models.metrics.note_matching",
        "phrase_models.score",
        "phrase_models.score.song",
    ]
