"""Stage `train_binomial`: piano rolls -> binomial diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.binomial.specification import (
    BinomialRecipeConfig,
    BinomialTrainingSpecification,
)
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage_kind import StageKind
from tasks.engine.subprocess_training import run_training

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def train_binomial(context: StageContext) -> Mapping[str, Any]:
    """Train in a process of its own, on what `collect_rolls` left."""
    spec = BinomialTrainingSpecification(
        recipe=context.config_as(BinomialRecipeConfig),
        dataset=context.inputs["dataset"].folder.resolve(),
        hardware=context.runtime.hardware,
    )
    return {**run_training(context, spec), **save_curves(context)}


STAGE = StageKind(
    name="train_binomial",
    body=train_binomial,
    reads=("collect_rolls",),
    code=("phrase_models.binomial.trainer",),
    experiment="binomial",
    trains=True,
    side=True,
)


def binomial_stage(config: PipelineConfig, dataset: ArtifactRef) -> Stage:
    """Binomial diffusion, the second system."""
    return STAGE.configured(config.require_binomial().recipe, {"dataset": dataset})
