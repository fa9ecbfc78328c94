"""Leases between machines: one of them makes a thing, and one that is gone is found out.

A lease is an object that its holder changes every few seconds. Whoever waits for it counts, by its
own clock that never jumps, how long it has not changed; no two machines' times are ever compared,
so a clock that is wrong or slow does no harm. All writes are conditional on what was read.

A lease saves work and guards nothing: should two machines make the same artifact after all, the
first manifest that is published is the artifact (see `storage.shared_artifacts`).
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from storage.errors import StorageError
from storage.objects import Objects

LEASES = "leases"
_JOIN_SECONDS = 2.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds of a lease's life, the same on all machines.

    Attributes:
        beat: between two signs of life of the holder.
        patience: without one, after which the holder is taken for gone.
        poll: between two looks of whoever waits.
    """

    beat: float = 10.0
    patience: float = 60.0
    poll: float = 2.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, as it stands in the object.

    Attributes:
        host: name of the machine.
        pid: number of the process there.
        since: when it took the lease by its own clock; for people alone.
        token: drawn at random for each time that a lease is taken.
        owner: the working store of the process; its local lock keeps others of that store out.
        what: what it does, such as "builds stage train_vae".
        reads: digests of the artifacts that it needs meanwhile.
        beats: signs of life so far.
    """

    host: str
    pid: int
    since: str
    token: str
    owner: str
    what: str
    reads: tuple[str, ...] = ()
    beats: int = 0

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Holder | None:
        """What `to_bytes` gave, or None where it is something else."""
        try:
            data = json.loads(content)
            return cls(**{**data, "reads": tuple(data["reads"])})
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (since {self.since}), which {self.what}"


@dataclass
class Lease:
    """A lease that is held, renewed by a thread until it is released.

    Attributes:
        holder: this process.
        lost: set once another machine has taken it over.
    """

    objects: Objects
    name: str
    holder: Holder
    version: str
    lost: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def keep(self, beat: float) -> None:
        """Start to give a sign of life every so many seconds."""
        self._thread = threading.Thread(target=self._beat, args=(beat,), daemon=True)
        self._thread.start()

    def _beat(self, seconds: float) -> None:
        silent = False
        while not self._ended.wait(seconds) and not self.lost.is_set():
            try:
                self.renew()
                silent = False
            except StorageError as error:
                if not silent:
                    _logger.warning("%s Meanwhile the work goes on.", error)
                silent = True

    def renew(self) -> None:
        """Give a sign of life; notes where the lease is no longer this process's."""
        after = replace(self.holder, beats=self.holder.beats + 1)
        version = self.objects.replace(self.name, after.to_bytes(), self.version)
        if version is None:
            version = self._version_of_own()
        if version is None:
            self.lost.set()
            _logger.warning(
                "The lease of what this process does (it %s) was taken over, as nothing was heard "
                "from it: it goes on, and what is published first counts.",
                self.holder.what,
            )
            return
        self.holder, self.version = after, version

    def _version_of_own(self) -> str | None:
        """The version in place if this process wrote it, and only the answer went astray."""
        seen = self.objects.get(self.name)
        found = Holder.from_bytes(seen.content) if seen else None
        own = seen is not None and found is not None and found.token == self.holder.token
        return seen.version if own and seen else None

    def release(self) -> None:
        """Let go. A lease that is lost, or cannot be reached now, is left to expire."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)
            if self._thread.is_alive():  # it waits for an answer
                return
        if self.lost.is_set():
            return
        try:
            # Changed before it is removed, so that nobody else's is.
            self.renew()
            if not self.lost.is_set():
                self.objects.delete([self.name])
        except StorageError as error:
            _logger.warning("%s", error)


class Leases:
    """Takes leases on a shared store.

    Args:
        objects: of the shared store.
        owner: identifies the working store of this process. Whoever takes a lease has to hold the
            local lock of that working store for the same thing, so that a lease of this owner on
            this host is what a process left that is gone.
        timing: of all leases.
        clock: seconds that never jump.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        objects: Objects,
        owner: str,
        timing: LeaseTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.objects, self.owner, self.timing = objects, owner, timing or LeaseTiming()
        self.host = socket.gethostname()
        self._clock, self._sleep = clock, sleep

    @contextmanager
    def hold(self, name: str, what: str, reads: Sequence[str] = ()) -> Iterator[Lease]:
        """Hold a lease, waiting for whoever holds it; a warning says for whom.

        Args:
            name: of the lease, with slashes.
            what: what the holder does, such as "builds stage train_vae".
            reads: digests of artifacts that it needs meanwhile.

        Raises:
            StoreUnreachable: if the shared store does not answer.
        """
        lease = self._take(f"{LEASES}/{name}.json", self._holder(what, reads))
        lease.keep(self.timing.beat)
        try:
            yield lease
        finally:
            lease.release()

    @contextmanager
    def hold_if_free(self, name: str, what: str) -> Iterator[bool]:
        """Hold a lease for a moment if nobody does, be it alive; yields whether that is so."""
        holder = self._holder(what, ())
        version = self.objects.create(f"{LEASES}/{name}.json", holder.to_bytes())
        try:
            yield version is not None
        finally:
            if version is not None:
                Lease(self.objects, f"{LEASES}/{name}.json", holder, version).release()

    def all(self) -> list[tuple[str, Holder]]:
        """The leases there are, be their holders alive or not, by name."""
        read = [(item.name, self.objects.get(item.name)) for item in self.objects.list(LEASES)]
        held = [(name, Holder.from_bytes(seen.content)) for name, seen in read if seen is not None]
        return [(_plain_name(name), holder) for name, holder in held if holder is not None]

    def alive(self) -> list[tuple[str, Holder]]:
        """As `all`, without those that do not change within the patience, which are removed."""
        waiting = {item.name: item.version for item in self.objects.list(LEASES)}
        living: list[tuple[str, Holder]] = []
        begun = self._clock()
        while waiting:
            for name, version in [*waiting.items()]:
                seen = self.objects.get(name)
                if seen is not None and seen.version == version:
                    continue
                del waiting[name]
                holder = Holder.from_bytes(seen.content) if seen else None
                if holder is not None:
                    living.append((_plain_name(name), holder))
            if not waiting or self._clock() - begun >= self.timing.patience:
                break
            self._sleep(self.timing.poll)
        for name, version in waiting.items():
            own = self._holder("clears the store", ())
            taken = self.objects.replace(name, own.to_bytes(), version)
            if taken is not None:
                Lease(self.objects, name, own, taken).release()
        return living

    def _holder(self, what: str, reads: Sequence[str]) -> Holder:
        since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        token = secrets.token_hex(16)
        return Holder(self.host, os.getpid(), since, token, self.owner, what, tuple(reads))

    def _take(self, name: str, holder: Holder) -> Lease:
        """The lease, as soon as nobody who lives holds it."""
        watched, unchanged_since, told = "", 0.0, ""
        while True:
            seen = self.objects.get(name)
            if seen is None:
                version = self.objects.create(name, holder.to_bytes())
                if version is not None:
                    return Lease(self.objects, name, holder, version)
                continue  # another was quicker
            other = Holder.from_bytes(seen.content)
            if other is not None and other.token == holder.token:  # the answer went astray
                return Lease(self.objects, name, holder, seen.version)
            if seen.version != watched:
                watched, unchanged_since = seen.version, self._clock()
            gone = self._clock() - unchanged_since >= self.timing.patience
            if gone or self._left_behind(other):
                version = self.objects.replace(name, holder.to_bytes(), seen.version)
                if version is not None:
                    _logger.warning("%s is gone: this process takes over.", _named(other, holder))
                    return Lease(self.objects, name, holder, version)
                continue
            if (other.token if other else "?") != told:
                _logger.warning("Waiting for %s.", _named(other, holder))
                told = other.token if other else "?"
            self._sleep(self.timing.poll)

    def _left_behind(self, other: Holder | None) -> bool:
        return other is not None and (other.host, other.owner) == (self.host, self.owner)


def _plain_name(name: str) -> str:
    return name.removeprefix(f"{LEASES}/").removesuffix(".json")


def _named(other: Holder | None, holder: Holder) -> str:
    return str(other) if other else f"another process, which {holder.what}"
