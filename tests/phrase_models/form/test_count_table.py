"""Back-off counts."""

import json

import numpy as np
import pytest

from phrase_models.form.count_table import CountsFile, CountTable, draw_index, index_of


def test_levels_back_off_by_hand():
    table = CountTable(num_symbols=2, num_levels=2, concentration=1.0)
    assert table.probabilities([(0,), (0, 0)]).tolist() == [0.5, 0.5]
    table.add([(0,), (0, 0)], 0)
    table.add([(0,), (0, 1)], 1)
    table.add([(0,), (0, 1)], 1)
    general = np.array([1 + 0.5, 2 + 0.5]) / 4
    assert table.probabilities([(0,), (0, 2)]) == pytest.approx(general)
    assert table.probabilities([(0,), (0, 0)]) == pytest.approx((np.array([1, 0]) + general) / 2)
    assert table.probabilities([(0,), (0, 1)]) == pytest.approx((np.array([0, 2]) + general) / 3)
    assert table.probabilities([(1,), (0, 1)]).sum() == pytest.approx(1.0)


def test_json_round_trip_is_exact_and_ordered():
    table, other = (CountTable(3, 2, 0.5) for _ in range(2))
    table.add([(), (1, -2)], 2, 0.25)
    table.add([(), (0,)], 1)
    other.add([(), (0,)], 1)
    other.add([(), (1, -2)], 2, 0.25)
    text = json.dumps(table.to_json())
    assert text == json.dumps(other.to_json())
    again = table.emptied().filled(CountsFile.model_validate_json(text))
    for contexts in ([(), (1, -2)], [(), (0,)], [(), (9,)], [(7,), (7,)]):
        assert np.array_equal(again.probabilities(contexts), table.probabilities(contexts))


def test_draws_follow_the_weights_and_leave_zeros_out():
    rng = np.random.default_rng(0)
    drawn = [draw_index(np.array([0.0, 1.0, 0.0, 3.0, 0.0]), rng) for _ in range(4000)]
    counts = np.bincount(drawn, minlength=5)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    assert counts[3] / 4000 == pytest.approx(0.75, abs=0.03)


def test_index_of_unknown_values():
    assert [index_of(("a", "b"), value) for value in "abz"] == [0, 1, 2]
