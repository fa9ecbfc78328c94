"""Small operations on many rows: a core for each part of the rows instead of all cores for each.

A step of decoding is some hundred operations too short to be worth sharing between threads; whole
batches on one thread each keep every core busy.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_on_cores(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Results of every item in order, as many computed at once as torch may use threads.

    Each call has one thread of torch's; grad mode and autocast are a thread's own, so `function`
    must set what it needs. The first error is raised.
    """
    num_threads = torch.get_num_threads()
    if num_threads == 1 or len(items) < 2:
        return [function(item) for item in items]
    try:
        with ThreadPoolExecutor(
            min(num_threads, len(items)), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            return list(pool.map(function, items))
    finally:  # a thread's own number is also what threads to come would start with
        torch.set_num_threads(num_threads)


def equal_parts(num_rows: int, most: int, least: int) -> list[slice]:
    """Consecutive rows in parts of nearly one size, as many parts for each core.

    Args:
        num_rows: how many there are to divide.
        most: rows of a part, at most.
        least: rows of a part, at least; but `most` wins, and the last may have fewer.
    """
    num_cores = torch.get_num_threads()
    num_parts = num_cores * -(-num_rows // (most * num_cores))
    size = min(most, max(least, -(-num_rows // max(num_parts, 1))))
    return [slice(start, start + size) for start in range(0, num_rows, size)]
