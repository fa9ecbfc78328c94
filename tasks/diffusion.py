"""Stage `train_diffusion`: latents of songs -> PhraseLDM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.training.config import TrainingConfig
from tasks.diffusion_dataset import write_dataset
from tasks.subprocess_training import run_training
from tasks.vae import save_curves

if TYPE_CHECKING:
    from tasks.stage import StageContext


class DiffusionTrainingStage(BaseModel):
    """What decides the weights of PhraseLDM."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    denoiser: DenoiserConfig
    noise_schedule: NoiseScheduleConfig
    training: TrainingConfig


def train_diffusion(context: StageContext) -> Mapping[str, Any]:
    """Train in a process of its own, on a plain copy of the latents."""
    config = context.config_as(DiffusionTrainingStage)
    dataset = context.state / "dataset"
    if not (dataset / "dataset.json").exists():
        write_dataset(dataset, context.inputs)
    result = run_training(
        context,
        {
            "kind": "diffusion",
            "denoiser": config.denoiser.model_dump(),
            "noise_schedule": config.noise_schedule.model_dump(),
            "training": config.training.model_dump(),
            "dataset": str(dataset),
        },
    )
    return {**result, **save_curves(context)}
