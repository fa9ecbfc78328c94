"""How the batch of a step is divided: over processes, and in each into micro batches.

Every process makes the same batch and takes its rows of it; gradients and figures are shares that
add up to those of the whole batch. They are summed here, explicitly and once a step, and not by
`DistributedDataParallel`: that hooks into `forward` alone, which some trainings bypass, means where
shares must be added, and waits for parameters that a phase does not use.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from phrase_models.errors import ConfigurationError
from phrase_models.training.local_processes import (
    RENDEZVOUS,
    LostProcessError,
    process_rank,
    started_together,
)
from phrase_models.training.specification import HardwareConfig

SILENCE = timedelta(hours=2)
"""How long the first process may be busy alone, as when it validates; one that ends is noticed at
once."""


@dataclass(frozen=True, slots=True)
class BatchPart:
    """Every `count`th row of a batch, from row `index` on.

    Attributes:
        index: from 0.
        count: parts of the batch.
        weight: 0 where a process without rows of its own repeats another's, so that it has
            gradients for the same parameters.
    """

    index: int
    count: int
    weight: float = 1.0

    @property
    def rows(self) -> slice:
        """Of the batch."""
        return slice(self.index, None, self.count)


@dataclass(frozen=True, slots=True)
class Division:
    """The processes that train one model together, and the micro batches that each takes a step.

    Attributes:
        rank: of this process.
        num_processes: on all hosts.
        micro_batches: of this and of every process.
        device: where tensors lie when processes exchange them.
    """

    rank: int = 0
    num_processes: int = 1
    micro_batches: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this is the process that reads and writes."""
        return self.rank == 0

    def parts(self, num_rows: int) -> list[BatchPart]:
        """What this process has of a batch: none without rows, and at least one.

        Which parts there are depends on the product of processes and micro batches alone.
        """
        count = self.num_processes * self.micro_batches
        mine = range(self.rank, min(count, num_rows), self.num_processes)
        return [BatchPart(index, count) for index in mine] or [BatchPart(0, count, weight=0.0)]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace float32 tensors by their sums over all processes, which are equal in each.

        Raises:
            LostProcessError: if another process is gone.
        """
        if self.num_processes == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        _together(lambda: dist.all_reduce(flat))
        pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def of_first(self, compute: Callable[[], Any]) -> Any:
        """A JSON value that the first process computes, in every process.

        Raises:
            LostProcessError: if another process is gone.
        """
        if self.num_processes == 1:
            return compute()
        return json.loads(self._sent(json.dumps(compute()).encode() if self.is_first else b""))

    def files_of_first(self, files: Mapping[str, bytes] | None) -> dict[str, bytes] | None:
        """Contents by name that the first process has, in every process.

        Raises:
            LostProcessError: if another process is gone.
        """
        names = self.of_first(lambda: None if files is None else list(files))
        if names is None or self.num_processes == 1:
            return None if files is None else dict(files)
        return {name: self._sent(files[name] if files else b"") for name in names}

    def _sent(self, content: bytes) -> bytes:
        """What the first process has; in pieces of known size, for nothing is unpickled."""
        size = torch.tensor([len(content)], device=self.device)
        _together(lambda: dist.broadcast(size, 0))
        buffer = torch.empty(int(size), dtype=torch.uint8, device=self.device)
        if self.is_first:
            buffer.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        _together(lambda: dist.broadcast(buffer, 0))
        return buffer.cpu().numpy().tobytes()


WHOLE = Division()
"""One process that takes each batch as a whole."""


def _together(exchange: Callable[[], object]) -> None:
    try:
        exchange()
    except RuntimeError as error:
        message = "Another process of the training has ended, so this one ends too."
        raise LostProcessError(message) from error


def join_processes(hardware: HardwareConfig) -> Division:
    """Meet the other processes of this training, if there are any.

    Their number and places are read from torchrun's variables (RANK, LOCAL_RANK, WORLD_SIZE,
    MASTER_ADDR, MASTER_PORT). They talk by gloo on CPUs and by NCCL on GPUs.

    Raises:
        ConfigurationError: if they cannot meet.
    """
    if not started_together():
        return Division(micro_batches=hardware.micro_batches)
    device = hardware.process_device
    count, rank = int(os.environ["WORLD_SIZE"]), process_rank()
    if not dist.is_initialized():
        try:
            dist.init_process_group(
                "nccl" if device.startswith("cuda") else "gloo",
                init_method=os.environ.get(RENDEZVOUS, "env://"),
                rank=rank,
                world_size=count,
                timeout=SILENCE,
            )
        except (RuntimeError, ValueError) as error:
            first_line = str(error).partition("\n")[0]
            message = f"Process {rank} of {count} does not find the others: {first_line}"
            raise ConfigurationError(message) from error
    return Division(rank, count, hardware.micro_batches, device)


def leave_processes() -> None:
    """Say good-bye, so that the others do not take the end for a loss."""
    if dist.is_initialized():
        dist.destroy_process_group()
