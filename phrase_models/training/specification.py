"""What every specification of a training says, whatever it trains."""

import os

from pydantic import BaseModel, ConfigDict, Field


class HardwareConfig(BaseModel):
    """Where a training runs; what it makes is decided by the recipe alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "cpu"
    num_threads: int = Field(default=1, ge=1, description="of each process")
    num_processes: int = Field(
        default=1, ge=1, le=1024, description="on this machine; under torchrun, what it starts"
    )
    micro_batches: int = Field(
        default=1, ge=1, le=4096, description="parts that a process takes of a batch, in turn"
    )

    @property
    def process_device(self) -> str:
        """The device of this process: a card each where several were started together."""
        local_rank = os.environ.get("LOCAL_RANK")
        return f"cuda:{local_rank}" if self.device == "cuda" and local_rank else self.device


class TrainingSpecification(BaseModel):
    """Base of the specifications: each adds its `kind`, its `recipe` and where its data lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hardware: HardwareConfig
