"""One service of a platform: started with a log of its own, waited for, watched, ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from phrase_models.errors import UserError
from tasks.engine.child_process import child_environment, stop_child
from tasks.team_platform.guard import STOP_SECONDS

POLL_SECONDS = 0.2
START_SECONDS = 180.0
"""Databases are set up at the first start, which a busy machine does slowly."""


class ServiceEnded(UserError):  # noqa: N818 - named for what happened
    """A service is gone, or never answered; the message names it and its log."""


@dataclass(frozen=True)
class Service:
    """A program to run.

    Attributes:
        name: for people, such as "MLflow server".
        log: name of its log, without suffix.
        module: of Python, with its arguments.
        ready: whether it does what it is there for.
    """

    name: str
    log: str
    module: Sequence[str]
    ready: Callable[[], bool]


@dataclass(frozen=True)
class RunningService:
    """A service that was started."""

    service: Service
    guard: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """See that it still runs.

        Raises:
            ServiceEnded: if it does not.
        """
        code = self.guard.poll()
        if code is not None:
            raise ServiceEnded(
                f"The {self.service.name} ended with code {code}: the end of {self.log} says why; "
                "everything else was ended, too, and what was finished is kept."
            )


@contextmanager
def running(service: Service, logs: Path, environment: dict[str, str]) -> Iterator[RunningService]:
    """A service under way; at the end nothing of it is left."""
    log = logs / f"{service.log}.log"
    command = [sys.executable, "-m", "tasks.team_platform.guard", str(os.getpid())]
    with log.open("ab") as file:
        guard = subprocess.Popen(
            [*command, sys.executable, "-m", *service.module],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=child_environment(**environment),
            start_new_session=True,  # Ctrl-C is for the platform, which ends all in order
        )
    try:
        yield RunningService(service, guard, log)
    finally:
        stop_child(guard, STOP_SECONDS + 1)
        with suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)


def wait_until_ready(started: Sequence[RunningService]) -> None:
    """Wait for all of them.

    Raises:
        ServiceEnded: if one ends instead, or does not answer in time.
    """
    deadline = time.monotonic() + START_SECONDS
    waiting = list(started)
    while waiting:
        for item in started:
            item.check()
        waiting = [item for item in waiting if not item.service.ready()]
        if waiting and time.monotonic() > deadline:
            raise ServiceEnded(
                f"The {waiting[0].service.name} does not answer after {START_SECONDS:.0f} s: see "
                f"{waiting[0].log}; everything was ended again."
            )
        if waiting:
            time.sleep(POLL_SECONDS)


def watch(started: Sequence[RunningService]) -> None:
    """Return never; raises `ServiceEnded` when one is gone."""
    while True:
        for item in started:
            item.check()
        time.sleep(POLL_SECONDS)
