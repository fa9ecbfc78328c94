"""Stage `train_diffusion`: latents of songs -> PhraseLDM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.diffusion.specification import (
    DiffusionRecipeConfig,
    DiffusionTrainingSpecification,
)
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage_kind import StageKind
from tasks.engine.subprocess_training import run_training

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def train_diffusion(context: StageContext) -> Mapping[str, Any]:
    """Train in a process of its own, on what `collect_songs` left."""
    spec = DiffusionTrainingSpecification(
        recipe=context.config_as(DiffusionRecipeConfig),
        dataset=context.inputs["dataset"].folder.resolve(),
        hardware=context.runtime.hardware,
    )
    return {**run_training(context, spec), **save_curves(context)}


STAGE = StageKind(
    name="train_diffusion",
    body=train_diffusion,
    reads=("collect_songs",),
    code=("phrase_models.diffusion.trainer",),
    experiment="diffusion",
    trains=True,
)


def diffusion_stage(config: PipelineConfig, dataset: ArtifactRef) -> Stage:
    """PhraseLDM."""
    recipe = DiffusionRecipeConfig(
        denoiser=config.denoiser,
        noise_schedule=config.noise_schedule,
        training=config.diffusion,
    )
    return STAGE.configured(recipe, {"dataset": dataset})
