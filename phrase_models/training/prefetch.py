"""Batches of the next steps, prepared while a device works on this one."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Prefetch(Generic[Value]):
    """A pure function of the step whose next values are computed ahead in a thread.

    It changes when values are computed, never which: `function` must depend on nothing but the
    step, so no global generator of random numbers, and must bear being called for steps that are
    never asked for.
    """

    def __init__(self, function: Callable[[int], Value], ahead: int = 3) -> None:
        """Keep `ahead` steps ready; 0 computes each when it is asked for, without a thread."""
        if ahead < 0:
            message = f"There is no preparing {ahead} steps ahead."
            raise ValueError(message)
        self._function, self._ahead = function, ahead
        self._waiting: dict[int, Future[Value]] = {}
        self._pool = ThreadPoolExecutor(1, "prefetch") if ahead else None

    def __call__(self, step: int) -> Value:
        """The value of `step`; an error of the function is raised here."""
        if self._pool is None:
            return self._function(step)
        wanted = range(step, step + 1 + self._ahead)
        for stale in [other for other in self._waiting if other not in wanted]:
            self._waiting.pop(stale).cancel()
        for other in wanted:
            if other not in self._waiting:
                self._waiting[other] = self._pool.submit(self._function, other)
        return self._waiting.pop(step).result()
