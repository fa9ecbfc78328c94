"""Stage `train_diffusion`: latents of songs -> PhraseLDM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storage.artifacts import ArtifactRef
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage import Stage
from tasks.engine.subprocess_training import run_training
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import DiffusionTrainingConfig
from tasks.stages.diffusion_dataset import write_dataset

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def train_diffusion(context: StageContext) -> Mapping[str, Any]:
    """Train in a process of its own, on a plain copy of the latents."""
    config = context.config_as(DiffusionTrainingConfig)
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


def diffusion_stage(
    config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef, latents: ArtifactRef
) -> Stage:
    """PhraseLDM."""
    return Stage(
        name="train_diffusion",
        config=DiffusionTrainingConfig(
            denoiser=config.denoiser,
            noise_schedule=config.noise_schedule,
            training=config.diffusion,
        ),
        inputs={"tables": tables, "vae": vae, "latents": latents},
        body=train_diffusion,
        code=(
            "tasks.stages.diffusion_dataset",
            "phrase_models.diffusion.training",
            "phrase_models.training.loop",
        ),
        tracked=True,
        needs_device=True,
    )
