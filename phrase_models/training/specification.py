"""What every specification of a training says, whatever it trains."""

from pydantic import BaseModel, ConfigDict, Field


class HardwareConfig(BaseModel):
    """Where a training runs; what it makes is decided by the recipe alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "cpu"
    num_threads: int = Field(default=1, ge=1)


class TrainingSpecification(BaseModel):
    """Base of the specifications: each adds its `kind`, its `recipe` and where its data lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hardware: HardwareConfig
