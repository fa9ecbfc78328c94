"""Stage `train_pianotree`: the baseline on whole bars (paper table 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.vae.phrase_table import unit_table_path
from storage.artifacts import ArtifactRef
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage import Stage
from tasks.engine.subprocess_training import run_training
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import PianoTreeTrainingConfig

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def train_pianotree(context: StageContext) -> Mapping[str, Any]:
    """Train PianoTree VAE on the bars of the corpus, in a process of its own."""
    config = context.config_as(PianoTreeTrainingConfig)
    folder = context.inputs["phrases"].folder
    result = run_training(
        context,
        {
            "kind": "pianotree",
            "architecture": config.architecture.model_dump(),
            "objective": config.objective.model_dump(),
            "training": config.training.model_dump(),
            "train": str(unit_table_path(folder, "bar", "train")),
            "validation": str(unit_table_path(folder, "bar", "validation")),
        },
    )
    return {**result, **save_curves(context)}


def pianotree_stage(config: PipelineConfig, phrases: ArtifactRef) -> Stage:
    """The baseline on whole bars."""
    return Stage(
        name="train_pianotree",
        config=config.require_pianotree(),
        inputs={"phrases": phrases},
        body=train_pianotree,
        code=("phrase_models.train",),
        tracked=True,
        needs_device=True,
    )
