"""Worker processes: none is left after an error, and a process that died is replaced."""

import multiprocessing
import os
import time

import pytest

from tasks.engine.process_pool import InlinePool, process_pool
from tasks.engine.shards import Shard, map_shards


def double(number: int) -> int:
    return 2 * number


def shards(works) -> list[Shard]:
    return [Shard((str(work),), work) for work in works]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_results_come_in_the_order_of_the_items(num_workers):
    with process_pool(num_workers) as pool:
        assert [*map_shards(pool, double, shards(range(7)))] == [0, 2, 4, 6, 8, 10, 12]


def test_without_workers_shards_are_made_as_they_are_taken():
    taken = []

    def coming():
        for number in range(9):
            taken.append(number)
            yield Shard((), number)

    results = map_shards(InlinePool(), double, coming())
    assert [next(results), next(results)] == [0, 2]
    assert len(taken) <= 3


def test_after_an_error_workers_are_ended_and_what_they_have_not_begun_is_dropped():
    def fail() -> None:
        with process_pool(2) as pool:
            list(map_shards(pool, sleep_or_fail, shards([30.0, -1.0, *[30.0] * 5])))

    others = {child.pid for child in multiprocessing.active_children()}
    began = time.monotonic()
    with pytest.raises(ValueError, match="no such number"):
        fail()
    assert time.monotonic() - began < 25
    deadline = time.monotonic() + 25
    while {child.pid for child in multiprocessing.active_children()} - others:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sleep_or_fail(seconds: float) -> int:
    if seconds < 0:
        raise ValueError("no such number")
    time.sleep(seconds)
    return os.getpid()
