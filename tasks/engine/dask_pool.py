"""Workers of Dask: a cluster that is there, or one of this machine that ends with the stage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker

from phrase_models.errors import ConfigurationError
from tasks.engine.shards import WorkerDied

LOCAL_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # who lost a shard is for `map_shards` to say
    "distributed.worker.memory.terminate": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "logging": {"distributed": "critical"},  # an error is raised here, and said once
}
SETTINGS = {
    # Client and scheduler keep so many messages for developers, and the songs of a shard with each
    "distributed.admin.low-level-log-length": 0,
}
CONNECT_SECONDS = 20


class DaskPool:
    """Implements `Pool`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._executor = client.get_executor(pure=False, retries=0)

    @property
    def num_workers(self) -> int:
        """Threads of all workers; those of this machine have one each."""
        return max(1, sum(self._client.nthreads().values()))

    def submit(self, function: Callable[[Any], Any], work: Any) -> Future[Any]:
        """See `Pool`."""
        future: Future[Any] = self._executor.submit(function, work)
        return future

    def cause(self, error: BaseException) -> BaseException:
        """See `Pool`."""
        return WorkerDied() if isinstance(error, KilledWorker) else error


@contextmanager
def dask_pool(num_workers: int, address: str | None) -> Iterator[DaskPool]:
    """The workers of a cluster.

    Args:
        num_workers: processes to start where there is no address.
        address: of the scheduler of a cluster that is there, which is left running.

    Raises:
        ConfigurationError: if nobody answers there.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        if address is None:
            folder = stack.enter_context(
                TemporaryDirectory(prefix="dask", ignore_cleanup_errors=True)
            )
            settings = {**LOCAL_SETTINGS, "temporary-directory": folder}
            stack.enter_context(dask.config.set(settings))
            cluster: Any = stack.enter_context(
                LocalCluster(
                    n_workers=num_workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                )
            )
            client = stack.enter_context(Client(cluster, set_as_default=False))
        else:
            try:
                client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                message = f"No scheduler of Dask answers at {address}: start one, or mend it."
                raise ConfigurationError(message) from error
            stack.enter_context(client)
        yield DaskPool(client)
