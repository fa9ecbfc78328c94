"""Stage `train_pianotree`: the baseline on whole bars (paper table 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.baselines.pianotree.specification import (
    PianoTreeRecipeConfig,
    PianoTreeTrainingSpecification,
)
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage_kind import StageKind
from tasks.engine.subprocess_training import run_training

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def train_pianotree(context: StageContext) -> Mapping[str, Any]:
    """Train PianoTree VAE on the bars of the corpus, in a process of its own."""
    spec = PianoTreeTrainingSpecification(
        recipe=context.config_as(PianoTreeRecipeConfig),
        phrases=context.inputs["phrases"].folder.resolve(),
        hardware=context.runtime.hardware,
    )
    return {**run_training(context, spec), **save_curves(context)}


STAGE = StageKind(
    name="train_pianotree",
    body=train_pianotree,
    reads=("collect_phrases",),
    code=("phrase_models.baselines.pianotree.trainer",),
    experiment="vae",
    trains=True,
    side=True,
)


def pianotree_stage(config: PipelineConfig, phrases: ArtifactRef) -> Stage:
    """The baseline on whole bars."""
    return STAGE.configured(config.require_pianotree(), {"phrases": phrases})
