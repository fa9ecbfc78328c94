"""Configuration of one training run."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingConfig(BaseModel):
    """How long, how fast and how often; every field changes the result except `log_every`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    num_steps: int = Field(ge=1, description="optimiser steps")
    batch_size: int = Field(ge=1, description="songs, or tokens of phrases, a step")
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    final_learning_rate: float = Field(
        default=0.02, ge=0, le=1, description="share of the learning rate left at the end"
    )
    weight_decay: float = Field(default=0.0, ge=0)
    second_moment_decay: float = Field(default=0.98, gt=0, lt=1)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    further_ema_decays: tuple[float, ...] = Field(
        default=(), description="averages kept beside, to choose from after training"
    )
    validate_every: int = Field(ge=1, description="steps")
    checkpoint_every: int = Field(ge=1, description="steps")
    patience: int | None = Field(
        default=None, ge=1, description="validations without a better score before stopping"
    )
    keep: Literal["best", "last"] = Field(
        default="best", description="weights of the best validation score, or the last ones"
    )
    precision: Literal["fp32", "bf16"] = "fp32"
    log_every: int = Field(default=20, ge=1, description="steps")
