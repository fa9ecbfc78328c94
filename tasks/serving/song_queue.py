"""A bounded queue of songs before the one thread that makes them."""

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from tasks.errors import plain_sentence

logger = logging.getLogger(__name__)

SongT = TypeVar("SongT")
JobState = Literal["waiting", "running", "done", "failed"]
Report = Callable[[float], None]
"""Called with the share of a song that is done, 0..1."""
Work = Callable[[Report], SongT]
_NEWEST = 0.3
"""Weight of the newest song in the usual time of one."""


class QueueFullError(Exception):
    """No place is left; the client may come again after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"The queue is full; try again in {seconds} s.")
        self.seconds = seconds


class DroppedError(Exception):
    """A song that nobody waits for any more, or that the server's end cut off."""


@dataclass(eq=False)
class Job(Generic[SongT]):
    """A song on its way.

    Attributes:
        work: makes it.
        number: unguessable name.
        kept: whether it can be asked for by its number once it is finished.
        future: of the song; cancelled if it is dropped while it waits.
        progress: share that is done, 0..1.
        dropped: nobody waits for it any more.
        finished_at: by the queue's clock, or None.
    """

    work: Work[SongT]
    kept: bool = False
    number: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    future: "Future[SongT]" = field(default_factory=Future)
    progress: float = 0.0
    dropped: bool = False
    finished_at: float | None = None

    @property
    def state(self) -> JobState:
        """Where it is."""
        if self.future.running():
            return "running"
        if not self.future.done():
            return "waiting"
        failed = self.future.cancelled() or self.future.exception() is not None
        return "failed" if failed else "done"

    def report(self, share: float) -> None:
        """Note how much is done.

        Raises:
            DroppedError: if nobody waits for it any more.
        """
        if self.dropped:
            raise DroppedError
        self.progress = share


class SongQueue(Generic[SongT]):
    """Makes songs one after another, in a thread of its own.

    Models are not shared between threads: two songs at once would take twice as long each.
    """

    def __init__(
        self,
        size: int,
        *,
        kept_jobs: int = 100,
        kept_seconds: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.

        Args:
            size: songs that may wait.
            kept_jobs: finished jobs that can be asked for.
            kept_seconds: for how long.
            clock: seconds.
        """
        self.size, self.kept_jobs, self.kept_seconds, self.clock = (
            size,
            kept_jobs,
            kept_seconds,
            clock,
        )
        self.num_made = self.num_failed = 0
        self.usual_seconds = 1.0
        self._waiting: deque[Job[SongT]] = deque()
        self._running: Job[SongT] | None = None
        self._kept: OrderedDict[str, Job[SongT]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, name="songs", daemon=True).start()

    @property
    def num_waiting(self) -> int:
        """Songs that wait."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether a song is being made."""
        return self._running is not None

    def submit(self, work: Work[SongT], *, kept: bool = False) -> Job[SongT]:
        """Put a song at the end of the queue.

        Raises:
            QueueFullError: if it is full.
            DroppedError: if the server is ending.
        """
        job = Job(work, kept)
        with self._changed:
            if self._closed:
                raise DroppedError
            if len(self._waiting) >= self.size:
                raise QueueFullError(self.seconds_to_wait())
            self._waiting.append(job)
            if kept:
                self._forget_old()
                self._kept[job.number] = job
            self._changed.notify()
        return job

    def seconds_to_wait(self) -> int:
        """After which a place should be free, at least 1."""
        return max(1, round(self.usual_seconds))

    def find(self, number: str) -> Job[SongT] | None:
        """A kept job by its number; None where there is none, or no longer."""
        with self._changed:
            self._forget_old()
            return self._kept.get(number)

    def position(self, job: Job[SongT]) -> int:
        """Songs that come before it, the one that is made among them; 0 from when it is made."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def drop(self, job: Job[SongT]) -> None:
        """Forget a job; one that waits leaves the queue, one that is made ends at its next step."""
        with self._changed:
            job.dropped = True
            self._kept.pop(job.number, None)
            if job in self._waiting:
                self._waiting.remove(job)
        job.future.cancel()

    def close(self) -> None:
        """Drop all jobs and take no more."""
        with self._changed:
            self._closed = True
            jobs = [*self._waiting, *([self._running] if self._running else [])]
            self._changed.notify()
        for job in jobs:
            self.drop(job)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._running = self._waiting.popleft()
                begun = job.future.set_running_or_notify_cancel()
            if begun:
                self._make(job)
            with self._changed:
                self._running = None

    def _make(self, job: Job[SongT]) -> None:
        started = self.clock()
        try:
            song = job.work(job.report)
        except DroppedError as error:
            job.finished_at = self.clock()
            job.future.set_exception(error)
        except BaseException as error:
            self.num_failed += 1
            if plain_sentence(error) is None:
                logger.exception("A song could not be made.")
            job.finished_at = self.clock()
            job.future.set_exception(error)
        else:
            self.num_made += 1
            job.progress, job.finished_at = 1.0, self.clock()
            taken = job.finished_at - started
            self.usual_seconds += _NEWEST * (taken - self.usual_seconds)
            job.future.set_result(song)

    def _forget_old(self) -> None:
        """Forget finished jobs that are too old or too many."""
        finished = [job for job in self._kept.values() if job.finished_at is not None]
        too_many = max(len(finished) - self.kept_jobs, 0)
        for place, job in enumerate(finished):
            age = self.clock() - (job.finished_at or 0.0)
            if place < too_many or age > self.kept_seconds:
                del self._kept[job.number]
