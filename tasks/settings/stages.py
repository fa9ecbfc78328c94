"""Settings of single stages: only what can change what a stage makes.

Those of the trainings are the recipes beside the trainers in `phrase_models`.
"""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.form.plan_source import PlanSource
from phrase_models.generators import GENERATORS
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.tokens.song_layout import SlotLayout
from phrase_models.vae.refinement_config import RefinementConfig


class EmptyConfig(BaseModel):
    """Of a stage that has nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class IngestSongsConfig(BaseModel):
    """What decides which songs come out, and how.

    Attributes:
        source: its registered name.
        settings: of the source, as far as they decide what is read.
        ingest: thresholds of acceptance, and the grid.
        validation_fraction: share of the songs held out.
        max_songs: the first so many; all by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    settings: dict[str, Any]
    ingest: IngestConfig
    validation_fraction: float
    max_songs: int | None


class ReconstructionConfig(BaseModel):
    """What decides the figures of a trained VAE."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_levels: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    refinement: RefinementConfig | None = None
    seed: int = 0


class EncodeLatentsConfig(BaseModel):
    """What decides the latents of a corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: SlotLayout
    refinement: RefinementConfig | None


class GenerationConfig(BaseModel):
    """A batch of songs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_songs: int = Field(ge=1)
    seed: int = 0
    num_bars: int | None = Field(default=None, ge=1, description="null leaves it to the model")
    sections: str | None = Field(default=None, description="layout such as 'i4 A8 B8 o2'")
    plans: PlanSource | None = Field(
        default="training",
        description="what is left open is of a training song, lent to drawn sections, or drawn",
    )
    generator: str = Field(default="phrase_ldm", description="a name of phrase_models.generators")
    sampler: SamplerConfig
    tempo_bpm: float = Field(default=90.0, gt=10, lt=400)
    transpose: int = Field(default=0, ge=-11, le=11, description="semitones up from C or A minor")
    audio_seconds: float = Field(default=60.0, ge=0, description="of each song in the gallery")

    @model_validator(mode="after")
    def _draws_plans_if_it_can(self) -> Self:
        entry = GENERATORS.get(self.generator)
        if self.plans in {"lent", "drawn"} and entry is not None and not entry.draws_plans:
            able = ", ".join(name for name, known in GENERATORS.items() if known.draws_plans)
            message = f"Generator {self.generator} draws no plans; {able} does."
            raise ConfigurationError(message)
        return self


class EvaluationConfig(BaseModel):
    """How many real songs stand on either side of a comparison (paper section 4.3.5).

    Attributes:
        num_reference_songs: training songs that all others are compared with.
        num_floor_songs: other training songs, measured as if they were generated.
        num_held_out_songs: at most so many held-out songs, measured likewise: what an evaluation
            keeps in memory does not grow with the corpus.
        seed: of the choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_reference_songs: int = Field(default=100, ge=2)
    num_floor_songs: int = Field(default=20, ge=2)
    num_held_out_songs: int = Field(default=200, ge=2)
    seed: int = 0
