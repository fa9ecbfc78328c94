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
from tasks.stages.diffusion_dataset import write_dataset

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def train_diffusion(context: StageContext) -> Mapping[str, Any]:
    """Train in a process of its own, on a plain copy of the latents."""
    dataset = context.state / "dataset"
    if not (dataset / "dataset.json").exists():
        write_dataset(dataset, context.inputs)
    spec = DiffusionTrainingSpecification(
        recipe=context.config_as(DiffusionRecipeConfig),
        dataset=dataset.resolve(),
        hardware=context.runtime.hardware,
    )
    return {**run_training(context, spec), **save_curves(context)}


STAGE = StageKind(
    name="train_diffusion",
    body=train_diffusion,
    reads=("tokenise_songs", "train_vae", "encode_latents"),
    code=("tasks.stages.diffusion_dataset", "phrase_models.diffusion.trainer"),
    experiment="diffusion",
    trains=True,
)


def diffusion_stage(
    config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef, latents: ArtifactRef
) -> Stage:
    """PhraseLDM."""
    recipe = DiffusionRecipeConfig(
        denoiser=config.denoiser,
        noise_schedule=config.noise_schedule,
        training=config.diffusion,
    )
    return STAGE.configured(recipe, {"tables": tables, "vae": vae, "latents": latents})
