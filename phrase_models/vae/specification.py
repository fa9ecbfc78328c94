"""What a training of PhraseVAE is asked for: its recipe, and where its data lie."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from phrase_models.training.config import TrainingConfig
from phrase_models.training.specification import TrainingSpecification
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig, VAEPhase


class VAERecipeConfig(BaseModel):
    """What decides the weights of one of the four trainings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: VAEPhase
    architecture: VAEConfig
    objective: VAEObjectiveConfig
    training: TrainingConfig

    @property
    def reads_bars(self) -> bool:
        """Whether whole bars are mixed into units that are phrases."""
        return self.objective.bar_share > 0 and self.architecture.granularity == "phrase"


class VAETrainingSpecification(TrainingSpecification):
    """One of the four trainings.

    Attributes:
        phrases: folder of tables of distinct units (see `phrase_table.unit_table_path`).
        start_from: folder of the training before it, None to start with random weights.
    """

    kind: Literal["vae"] = "vae"
    recipe: VAERecipeConfig
    phrases: Path
    start_from: Path | None = None
