"""Worker processes that do not outlive the run that started them, and leave Ctrl-C to it."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from phrase_models.training.watchdog import exit_with_parent


@contextmanager
def worker_pool(num_workers: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Worker processes; after an error or a signal nobody waits for them.

    Args:
        num_workers: processes.

    Yields:
        A map over them: (function, items, chunksize=...) to results in the order of the items.
    """
    others = {child.pid for child in multiprocessing.active_children()}
    # Forked workers would inherit torch's threads, and the store's locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        num_workers, mp_context=context, initializer=exit_with_parent, initargs=(os.getpid(),)
    )

    def map_items(
        function: Callable[[Any], Any], items: Iterable[Any], chunksize: int = 1
    ) -> Iterable[Any]:
        with _interrupts_blocked():  # as it is then in the workers, which start here
            return pool.map(function, items, chunksize=chunksize)

    try:
        yield map_items
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            if child.pid not in others:
                child.terminate()
        raise
    pool.shutdown()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C in a terminal reaches every process; only the one that can tell it is to answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
