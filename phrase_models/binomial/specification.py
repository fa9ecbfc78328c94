"""What a training of binomial diffusion is asked for: its recipe, and where its data lie."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from phrase_models.binomial.config import NetworkConfig, NoiseConfig, ObjectiveConfig
from phrase_models.training.config import TrainingConfig
from phrase_models.training.specification import TrainingSpecification


class BinomialRecipeConfig(BaseModel):
    """What decides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise: NoiseConfig
    network: NetworkConfig
    objective: ObjectiveConfig
    training: TrainingConfig


class BinomialTrainingSpecification(TrainingSpecification):
    """The training of binomial diffusion on piano rolls.

    Attributes:
        dataset: folder of rolls (see `read_dataset`).
    """

    kind: Literal["binomial"] = "binomial"
    recipe: BinomialRecipeConfig
    dataset: Path
