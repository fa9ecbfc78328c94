"""Worker processes: results in order, and none left after an error."""

import multiprocessing
import os
import time

import pytest

from tasks.engine.process_pool import worker_pool


def double(number: int) -> int:
    return 2 * number


def test_results_come_in_the_order_of_the_items():
    with worker_pool(2) as map_items:
        assert list(map_items(double, range(7), chunksize=2)) == [0, 2, 4, 6, 8, 10, 12]


def test_after_an_error_workers_are_ended_and_what_they_have_not_begun_is_dropped():
    def fail() -> None:
        with worker_pool(1) as map_items:
            list(map_items(sleep_or_fail, [0.0, -1.0, *[30.0] * 5]))

    others = {child.pid for child in multiprocessing.active_children()}
    began = time.monotonic()
    with pytest.raises(ValueError, match="no such number"):
        fail()
    assert time.monotonic() - began < 25
    deadline = time.monotonic() + 10
    while {child.pid for child in multiprocessing.active_children()} - others:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sleep_or_fail(seconds: float) -> int:
    if seconds < 0:
        raise ValueError("no such number")
    time.sleep(seconds)
    return os.getpid()
