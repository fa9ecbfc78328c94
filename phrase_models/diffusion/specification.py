"""What a training of PhraseLDM is asked for: its recipe, and where its data lie."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.training.config import TrainingConfig
from phrase_models.training.specification import TrainingSpecification


class DiffusionRecipeConfig(BaseModel):
    """What decides the weights of PhraseLDM."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    denoiser: DenoiserConfig
    noise_schedule: NoiseScheduleConfig
    training: TrainingConfig


class DiffusionTrainingSpecification(TrainingSpecification):
    """The training of PhraseLDM.

    Attributes:
        dataset: folder of latents and plans (see `read_dataset`).
    """

    kind: Literal["diffusion"] = "diffusion"
    recipe: DiffusionRecipeConfig
    dataset: Path
