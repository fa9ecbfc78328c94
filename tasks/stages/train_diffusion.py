"""Stage `train_diffusion`: collected songs -> PhraseLDM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storage.artifacts import ArtifactRef
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage import Stage
from tasks.engine.subprocess_training import run_training
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import DiffusionTrainingConfig

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def train_diffusion(context: StageContext) -> Mapping[str, Any]:
    """Train in a process of its own, on what `collect_songs` left."""
    config = context.config_as(DiffusionTrainingConfig)
    result = run_training(
        context,
        {
            "kind": "diffusion",
            "denoiser": config.denoiser.model_dump(),
            "noise_schedule": config.noise_schedule.model_dump(),
            "training": config.training.model_dump(),
            "dataset": str(context.inputs["dataset"].folder),
        },
    )
    return {**result, **save_curves(context)}


def diffusion_stage(config: PipelineConfig, dataset: ArtifactRef) -> Stage:
    """PhraseLDM."""
    return Stage(
        name="train_diffusion",
        config=DiffusionTrainingConfig(
            denoiser=config.denoiser,
            noise_schedule=config.noise_schedule,
            training=config.diffusion,
        ),
        inputs={"dataset": dataset},
        body=train_diffusion,
        code=("phrase_models.train",),
        tracked=True,
        needs_device=True,
    )
