"""Shards of work over workers: results in order, and a worker that dies costs only its shard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from phrase_models.errors import UserError

logger = logging.getLogger(__name__)
MOST_DEATHS = 3
"""Workers that one shard may cost."""
NAMES_SHOWN = 8

WorkT = TypeVar("WorkT")
ResultT = TypeVar("ResultT")


class WorkerDied(RuntimeError):  # noqa: N818 - named for what happened
    """The worker of a shard was ended from outside, or by the system for want of memory."""


class ShardFailed(UserError):  # noqa: N818 - named for what happened
    """A shard that costs every worker its life."""


@dataclass(frozen=True)
class Shard:
    """A part of a stage's work.

    Attributes:
        songs: names of the songs in it, for sentences.
        work: what the function is called with; it is pickled.
    """

    songs: tuple[str, ...]
    work: Any

    @property
    def words(self) -> str:
        """Its songs, in words."""
        if len(self.songs) > NAMES_SHOWN:
            return f"songs {self.songs[0]} to {self.songs[-1]} ({len(self.songs)} songs)"
        return f"{'song' if len(self.songs) == 1 else 'songs'} {', '.join(self.songs)}"


class Pool(Protocol):
    """Workers of an engine that is running."""

    @property
    def num_workers(self) -> int:
        """Shards that are worked on at once."""

    def submit(self, function: Callable[[Any], Any], work: Any) -> Future[Any]:
        """Call a function of a module on a worker; asked for `num_workers` at once, at most."""

    def cause(self, error: BaseException) -> BaseException:
        """What a future's error stands for: `WorkerDied`, or what the function raised."""


@dataclass(frozen=True)
class _Attempt:
    number: int
    shard: Shard
    deaths: int = 0


def map_shards(
    pool: Pool, function: Callable[[WorkT], ResultT], shards: Iterable[Shard]
) -> Iterator[ResultT]:
    """Results of all shards, in their order; no more than two a worker are held at a time.

    Args:
        pool: of workers.
        function: of the work of a shard; a function of a module, or a `partial` of one.
        shards: may be made as they are taken.

    Raises:
        ShardFailed: if a shard has cost three workers.
        Exception: the first that the function raised.
    """
    coming = enumerate(shards)
    running: dict[Future[Any], _Attempt] = {}
    results: dict[int, ResultT] = {}
    next_number, is_last = 0, False
    while True:
        while len(running) < pool.num_workers and not is_last:
            if len(running) + len(results) >= 2 * pool.num_workers:
                break
            number, shard = next(coming, (-1, None))
            if shard is None:
                is_last = True
            else:
                running[pool.submit(function, shard.work)] = _Attempt(number, shard)
        while next_number in results:
            yield results.pop(next_number)
            next_number += 1
        if is_last and not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            attempt = running.pop(future)
            error = future.exception()
            if error is None:
                results[attempt.number] = future.result()
                continue
            again = _after(attempt, pool.cause(error))
            running[pool.submit(function, again.shard.work)] = again


def _after(attempt: _Attempt, cause: BaseException) -> _Attempt:
    """The next attempt at a shard whose worker died; whatever else happened is raised."""
    if not isinstance(cause, WorkerDied):
        raise cause
    deaths, words = attempt.deaths + 1, attempt.shard.words
    if deaths >= MOST_DEATHS:
        message = (
            f"{deaths} workers died one after the other on {words}: they may be too large for the "
            "memory of this machine, or damaged; run with fewer --workers, or leave them out."
        )
        raise ShardFailed(message) from cause
    logger.warning("A worker died on %s: another one takes over.", words)
    return replace(attempt, deaths=deaths)
