"""Worker processes that do not outlive the run that started them, and leave Ctrl-C to it."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from phrase_models.training.watchdog import exit_with_parent


@contextmanager
def worker_pool(num_workers: int) -> Iterator[Executor]:
    """Worker processes; after an error or a signal nobody waits for what they have not begun.

    Args:
        num_workers: processes.
    """
    # Forked workers would inherit torch's threads, and the store's locks.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        num_workers, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),)
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _start_worker(parent: int) -> None:
    # Ctrl-C in a terminal reaches every process; only the one that can tell it answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_with_parent(parent)
