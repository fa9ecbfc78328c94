"""Stage `train_binomial`: piano rolls -> binomial diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.binomial.config import RollConfig
from phrase_models.binomial.dataset import RollSong, write_dataset
from phrase_models.binomial.specification import (
    BinomialRecipeConfig,
    BinomialTrainingSpecification,
)
from storage.rolls import read_rolls
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage_kind import StageKind
from tasks.engine.subprocess_training import run_training

if TYPE_CHECKING:
    from pathlib import Path

    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def train_binomial(context: StageContext) -> Mapping[str, Any]:
    """Train in a process of its own, which reads the rolls as plain files."""
    dataset = context.state / "rolls"
    unpack_rolls(context.inputs["rolls"].folder, dataset)
    spec = BinomialTrainingSpecification(
        recipe=context.config_as(BinomialRecipeConfig),
        dataset=dataset.resolve(),
        hardware=context.runtime.hardware,
    )
    return {**run_training(context, spec), **save_curves(context)}


def unpack_rolls(folder: Path, output: Path) -> None:
    """The Arrow file of `binomial_rolls` as the plain files that the training maps."""
    file = read_rolls(folder)
    songs = [RollSong.model_validate(row) for row in file.songs.iter_rows(named=True)]
    config = RollConfig.model_validate_json(file.description["config"])
    write_dataset(output, config, file.rows, songs)


STAGE = StageKind(
    name="train_binomial",
    body=train_binomial,
    reads=("binomial_rolls",),
    code=("phrase_models.binomial.trainer",),
    experiment="binomial",
    trains=True,
    side=True,
)


def binomial_stage(config: PipelineConfig, rolls: ArtifactRef) -> Stage:
    """Binomial diffusion, the second system."""
    return STAGE.configured(config.require_binomial().recipe, {"rolls": rolls})
