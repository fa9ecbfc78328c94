"""What a training of PianoTree VAE is asked for: its recipe, and where its data lie."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from phrase_models.baselines.pianotree.config import PianoTreeConfig, PianoTreeObjectiveConfig
from phrase_models.training.config import TrainingConfig
from phrase_models.training.specification import TrainingSpecification


class PianoTreeRecipeConfig(BaseModel):
    """What decides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: PianoTreeConfig
    objective: PianoTreeObjectiveConfig
    training: TrainingConfig


class PianoTreeTrainingSpecification(TrainingSpecification):
    """The training of the baseline on whole bars.

    Attributes:
        phrases: folder of tables of distinct units (see `phrase_table.unit_table_path`).
    """

    kind: Literal["pianotree"] = "pianotree"
    recipe: PianoTreeRecipeConfig
    phrases: Path
