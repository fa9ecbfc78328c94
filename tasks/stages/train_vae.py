"""Stages `train_infilling`, `train_autoencoder` and `train_vae`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.vae.config import VAEStage
from phrase_models.vae.phrase_table import unit_table_path
from storage.artifacts import ArtifactRef
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage import Stage
from tasks.engine.subprocess_training import run_training
from tasks.settings.pipeline import PipelineConfig, VAETrainingConfig
from tasks.settings.stages import VAEStageTrainingConfig

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def train_vae_stage(context: StageContext) -> Mapping[str, Any]:
    """Train one of the three stages in a process of its own, from the stage before it."""
    config = context.config_as(VAEStageTrainingConfig)
    folder, granularity = context.inputs["phrases"].folder, config.architecture.granularity
    previous = context.inputs.get("start_from")
    with_bars = config.objective.bar_share > 0 and granularity == "phrase"
    result = run_training(
        context,
        {
            "kind": "vae",
            "stage": config.stage,
            "architecture": config.architecture.model_dump(),
            "objective": config.objective.model_dump(),
            "training": config.training.model_dump(),
            "train": str(unit_table_path(folder, granularity, "train")),
            "validation": str(unit_table_path(folder, granularity, "validation")),
            "bars": str(unit_table_path(folder, "bar", "train")) if with_bars else None,
            "start_from": str(previous.folder) if previous else None,
        },
    )
    figures = save_curves(context)
    return {**result, **figures}


def vae_stage(
    config: PipelineConfig,
    stage: VAEStage,
    settings: VAETrainingConfig,
    phrases: ArtifactRef,
    start_from: ArtifactRef | None,
) -> Stage:
    """One of the three VAE trainings, from the one before it where there is one."""
    inputs = {"phrases": phrases} | ({"start_from": start_from} if start_from else {})
    return Stage(
        name=f"train_{stage}",
        config=VAEStageTrainingConfig.model_validate(
            {
                "stage": stage,
                "architecture": config.vae.for_stage(stage),
                "objective": settings.objective,
                "training": settings.training,
            }
        ),
        inputs=inputs,
        body=train_vae_stage,
        code=("phrase_models.train",),
        tracked=True,
        needs_device=True,
    )
