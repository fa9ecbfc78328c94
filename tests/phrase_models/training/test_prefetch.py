"""Values prepared ahead are the values, in whatever order they are asked for."""

import threading

import pytest

from phrase_models.training.prefetch import Prefetch


def square(step: int) -> int:
    return step * step


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_values_are_those_of_the_steps(ahead):
    prepared = Prefetch(square, ahead)
    steps = [0, 1, 2, 3, 7, 8, 8, 2, 3, 100]
    assert [prepared(step) for step in steps] == [square(step) for step in steps]


def test_the_next_steps_are_computed_before_they_are_asked_for():
    computed, done = [], threading.Event()

    def function(step: int) -> int:
        computed.append((step, threading.current_thread() is threading.main_thread()))
        if step == 12:
            done.set()
        return step

    prepared = Prefetch(function, 2)
    assert prepared(10) == 10
    assert done.wait(10)
    assert computed == [(10, False), (11, False), (12, False)]
    assert prepared(11) == 11
    assert [step for step, _ in computed].count(11) == 1


def test_without_looking_ahead_nothing_is_computed_in_vain():
    computed = []
    prepared = Prefetch(computed.append, 0)
    prepared(3)
    prepared(4)
    assert computed == [3, 4]


def test_an_error_is_raised_at_its_own_step():
    def function(step: int) -> int:
        if step == 2:
            raise ArithmeticError
        return step

    prepared = Prefetch(function, 3)
    assert prepared(0) == 0
    assert prepared(1) == 1
    with pytest.raises(ArithmeticError):
        prepared(2)
    assert prepared(3) == 3


def test_less_than_no_step_ahead_is_refused():
    with pytest.raises(ValueError, match="-1 steps ahead"):
        Prefetch(square, -1)
