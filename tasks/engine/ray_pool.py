"""Workers of Ray: a cluster that is there, or one of this machine that ends with the stage."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from tasks.settings.engines import ADDRESS_VARIABLE

# Read when Ray is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if not os.environ.get(ADDRESS_VARIABLE) and "RAY_AUTH_MODE" not in os.environ:
    # The servers of a cluster of this machine listen on every interface: they ask for a secret.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

import ray
from ray.exceptions import RayTaskError, WorkerCrashedError

from phrase_models.errors import ConfigurationError
from tasks.engine.child_process import child_environment
from tasks.engine.shards import WorkerDied

CONNECT_SECONDS = 20
OBJECT_STORE_BYTES = 256 * 2**20
"""Shared memory of a cluster of this machine: some shards and their results."""


class RayPool:
    """Implements `Pool`."""

    def __init__(self) -> None:
        self._call = ray.remote(num_cpus=1, max_retries=0)(_call)

    @property
    def num_workers(self) -> int:
        """Cores that Ray may use."""
        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def submit(self, function: Callable[[Any], Any], work: Any) -> Future[Any]:
        """See `Pool`."""
        future: Future[Any] = self._call.remote(function, work).future()
        return future

    def cause(self, error: BaseException) -> BaseException:
        """See `Pool`."""
        if isinstance(error, WorkerCrashedError):
            return WorkerDied()
        if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
            return error.cause
        return error


def _knock(address: str) -> None:
    """Raise OSError if nobody listens there, for which Ray itself takes minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _call(function: Callable[[Any], Any], work: Any) -> Any:
    return function(work)


@contextmanager
def ray_pool(num_workers: int, address: str | None) -> Iterator[RayPool]:
    """The workers of a cluster.

    Args:
        num_workers: worker processes to start where there is no address.
        address: of a cluster that is there, which is left running.

    Raises:
        ConfigurationError: if nobody answers there.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    quiet = {"log_to_driver": False, "logging_level": "CRITICAL", "configure_logging": True}
    folder = None if address else tempfile.mkdtemp(prefix="ray", dir="/tmp")
    try:
        if address:
            try:
                _knock(address)
                ray.init(address, **quiet)
            except (ConnectionError, OSError, ValueError, RuntimeError) as error:
                message = f"No cluster of Ray answers at {address}: start one, or mend it."
                raise ConfigurationError(message) from error
        else:
            ray.init(
                num_cpus=num_workers,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                runtime_env={"env_vars": {"PYTHONPATH": child_environment()["PYTHONPATH"]}},
                _temp_dir=folder,
                **quiet,
            )
        for number, handler in handlers.items():  # Ray puts its own in their place
            signal.signal(number, handler)
        yield RayPool()
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
