"""Worker processes that do not outlive the run that started them, and leave Ctrl-C to it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from phrase_models.training.watchdog import exit_with_parent
from tasks.engine.shards import WorkerDied


class InlinePool:
    """This process alone; implements `Pool`."""

    num_workers = 1

    def submit(self, function: Callable[[Any], Any], work: Any) -> Future[Any]:
        """Call the function now."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(work))
        except Exception as error:  # it is raised where the result is asked for
            future.set_exception(error)
        return future

    def cause(self, error: BaseException) -> BaseException:
        """The error itself."""
        return error


@dataclass
class _Worker:
    executor: ProcessPoolExecutor
    future: Future[Any] | None = None


class ProcessPool:
    """Processes of one shard at a time each, so that a death is told from others'.

    Implements `Pool`.
    """

    def __init__(self, num_workers: int, num_threads: int) -> None:
        self.num_workers, self.num_threads = num_workers, num_threads
        self._workers = [_Worker(self._executor()) for _ in range(num_workers)]

    def submit(self, function: Callable[[Any], Any], work: Any) -> Future[Any]:
        """See `Pool`; a worker that died is replaced."""
        worker = next(
            worker for worker in self._workers if worker.future is None or worker.future.done()
        )
        with _interrupts_blocked():  # as it is then in the process, which may start here
            try:
                worker.future = worker.executor.submit(function, work)
            except BrokenProcessPool:
                worker.executor.shutdown(wait=False)
                worker.executor = self._executor()
                worker.future = worker.executor.submit(function, work)
        return worker.future

    def cause(self, error: BaseException) -> BaseException:
        """See `Pool`."""
        return WorkerDied() if isinstance(error, BrokenProcessPool) else error

    def close(self, *, wait: bool) -> None:
        """End the processes, after what they are at if `wait`."""
        for worker in self._workers:
            worker.executor.shutdown(wait=wait, cancel_futures=True)

    def _executor(self) -> ProcessPoolExecutor:
        # Forked workers would inherit torch's threads, and the store's locks.
        context = multiprocessing.get_context("spawn")
        arguments = (os.getpid(), self.num_threads)
        return ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=arguments)


def _begin(parent: int, num_threads: int) -> None:
    """In a new worker, before it imports torch."""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
    exit_with_parent(parent)


@contextmanager
def process_pool(num_workers: int, num_threads: int = 1) -> Iterator[ProcessPool]:
    """Worker processes of so many threads; after an error or a signal nobody waits for them."""
    others = {child.pid for child in multiprocessing.active_children()}
    pool = ProcessPool(num_workers, num_threads)
    try:
        yield pool
    except BaseException:
        pool.close(wait=False)
        for child in multiprocessing.active_children():
            if child.pid not in others:
                child.terminate()
        raise
    pool.close(wait=True)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C in a terminal reaches every process; only the one that can tell it is to answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
