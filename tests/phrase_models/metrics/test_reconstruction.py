import math
from fractions import Fraction

import pytest

from phrase_models.metrics.note_matching import add_counts, count_phrase, pool
from phrase_models.metrics.reconstruction import f1_official, score_songs
from phrase_models.score.song import MELODY, PIANO, Phrase, PhraseNote


def make_phrase(*notes, program=PIANO):
    return Phrase(program, tuple(PhraseNote(*note) for note in notes))


TARGET = make_phrase((0, 60, 12), (12, 62, 12), (24, 64, 12), (36, 65, 12))


def test_intervals_are_over_songs():
    good = add_counts([count_phrase(TARGET, TARGET)] * 3)
    bad = add_counts([count_phrase(TARGET, None)])
    results = {result.name: result for result in score_songs([good, good, bad], seed=1)}
    assert results["f1_op"].value == float(Fraction(2 * 24, 28 + 24))
    assert results["f1_op"].low == 0.0 or results["f1_op"].low < results["f1_op"].value
    assert results["f1_op"].high == 1.0
    assert results["f1_op"].num_items == 3
    assert results["f1_op"].note == "7 phrases"
    assert results["exact_phrase_rate"].value == float(Fraction(6, 7))
    assert math.isnan(results["special_accuracy"].value)
    assert all(math.isnan(result.value) for result in score_songs([]))


def test_official_form_averages_phrases_and_rewards_empty_targets():
    half = make_phrase((0, 60, 12), (12, 62, 6), (24, 1, 1), (36, 1, 1))
    scores = f1_official([(TARGET, half), (None, TARGET), (None, None)])
    assert scores.f1_op == pytest.approx((0.5 + 1 + 1) / 3)
    assert scores.f1_opd == pytest.approx((0.25 + 1 + 1) / 3)
    assert scores.f1_iopd == pytest.approx((0.25 + 0 + 1) / 3)
    exact = pool([count_phrase(TARGET, half), count_phrase(None, TARGET)])
    assert exact.f1_op == float(Fraction(2 * 2, 4 + 8))


def test_official_form_keeps_the_longest_of_doubled_cells():
    doubled = make_phrase((0, 60, 12), (0, 60, 6))
    scores = f1_official([(doubled, make_phrase((0, 60, 12)))])
    assert (scores.f1_op, scores.f1_opd, scores.f1_iopd) == (1.0, 1.0, 1.0)
    other_program = f1_official([(TARGET, Phrase(MELODY, TARGET.notes))])
    assert (other_program.f1_op, other_program.f1_iopd) == (1.0, 0.0)
    assert math.isnan(f1_official([]).f1_op)
