"""Scores of several ways through a model, by class of phrases."""

import pytest

from phrase_models.metrics.note_matching import PhraseCounts
from phrase_models.tokens.remiz import from_text
from tasks.stages.reconstruction_scores import (
    HeldOutUnits,
    break_down,
    length_class,
    scores_of_way,
)

UNITS = [
    from_text("i-13 o-0 p-60 d-12"),
    from_text("i-0 o-0 p-48 d-48 p-52 d-48 o-12 p-55 d-12 o-24 p-57 d-12 p-60 d-12"),
    from_text("i-0 o-0 p-48 d-48"),
]
PLAIN = [
    PhraseCounts(1, 1, 1, 1, 1, 1, 1),
    PhraseCounts(5, 5, 4, 3, 3, 1, 0),
    PhraseCounts(1, 0, 0, 0, 0, 1, 0),
]
REFINED = [PLAIN[0], PhraseCounts(5, 5, 5, 5, 5, 1, 1), PLAIN[2]]


@pytest.fixture(params=["phrase", "bar"])
def units(request) -> HeldOutUnits:
    return HeldOutUnits(UNITS, ["a", "a", "b"], 3, {"a": 0, "b": 0}, request.param)


@pytest.mark.parametrize(
    ("num_notes", "name"),
    [(1, "1-4"), (4, "1-4"), (5, "5-8"), (12, "9-12"), (13, "13+"), (40, "13+")],
)
def test_classes_of_length(num_notes, name):
    assert length_class(num_notes) == name


def test_scores_by_class_stand_side_by_side(units):
    found = break_down(units, {"": PLAIN, "refined": REFINED})
    lengths = found["by_num_notes"]
    assert list(lengths) == ["1-4", "5-8"]
    assert lengths["1-4"]["num_phrases"] == 2
    assert lengths["1-4"]["f1_op"] == pytest.approx(2 / 3)
    assert lengths["5-8"] == {
        "num_phrases": 1,
        "f1_op": 0.8,
        "f1_opd": 0.6,
        "exact_phrase_rate": 0.0,
        "f1_op_refined": 1.0,
        "f1_opd_refined": 1.0,
        "exact_phrase_rate_refined": 1.0,
    }
    if units.granularity == "bar":
        assert "by_instrument" not in found
    else:
        assert list(found["by_instrument"]) == ["melody", "piano"]
        assert found["by_instrument"]["piano"]["f1_op"] == pytest.approx(8 / 11)


def test_another_way_has_its_word_before_the_interval(units):
    figures = scores_of_way(units, REFINED, "refined", seed=0)
    assert figures["f1_op_refined"] == pytest.approx(12 / 13)
    low, high = figures["f1_op_refined_interval"]
    assert low <= figures["f1_op_refined"] <= high
    assert "f1_op" not in figures
