"""The engine of a run at work: shards of a data stage over processes, Dask or Ray.

Dask and Ray are used as they are and not by Prefect's task runners: stages also run without Prefect
and go on while its server is away, which a task run for every shard would not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.engine.process_pool import InlinePool, process_pool
from tasks.engine.shards import Shard, map_shards

if TYPE_CHECKING:
    from tasks.engine.runtime import RuntimeConfig
    from tasks.engine.shards import Pool

ResultT = TypeVar("ResultT")

SHARDS_WORTH_A_PROCESS = 2
"""Below it a process costs more, by its imports, than it saves."""


@contextmanager
def sharded(
    runtime: RuntimeConfig,
    function: Callable[[Any], ResultT],
    shards: Iterable[Shard],
    num_shards: int,
) -> Iterator[Iterator[ResultT]]:
    """Results of all shards in their order, by the engine of the run.

    Args:
        runtime: names the engine, its address and the number of workers.
        function: of the work of a shard; a function of a module, or a `partial` of one.
        shards: may be made as they are taken.
        num_shards: how many there are; no more workers are started than have something to do.

    Raises:
        ShardFailed: if a shard has cost three workers.
        ConfigurationError: if the engine's address does not answer.
    """
    with _pool(runtime, num_shards) as pool:
        yield map_shards(pool, function, shards)


def _pool(runtime: RuntimeConfig, num_shards: int) -> AbstractContextManager[Pool]:
    num_workers = max(1, min(runtime.num_workers, num_shards))
    if runtime.engine == "dask":
        from tasks.engine.dask_pool import dask_pool

        return dask_pool(num_workers, runtime.engine_address)
    if runtime.engine == "ray":
        from tasks.engine.ray_pool import ray_pool

        return ray_pool(num_workers, runtime.engine_address)
    num_processes = min(runtime.num_workers, num_shards // SHARDS_WORTH_A_PROCESS)
    if num_processes <= 1:
        return nullcontext(InlinePool())
    return process_pool(num_processes, max(1, runtime.num_threads // num_processes))
