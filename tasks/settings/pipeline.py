"""The configuration of a whole pipeline: one frozen section a concern, and dotted overrides."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from phrase_models.baselines.pianotree.specification import PianoTreeRecipeConfig
from phrase_models.binomial.config import RollConfig
from phrase_models.binomial.specification import BinomialRecipeConfig
from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.errors import ConfigurationError
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.sources.registry import SOURCES, find_source
from phrase_models.tokens.song_layout import SlotLayout
from phrase_models.training.config import TrainingConfig
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.refinement_config import RefinementConfig
from tasks.errors import plain_reason
from tasks.settings.bounds import check_bounds
from tasks.settings.stages import EvaluationConfig, GenerationConfig


class Frozen(BaseModel):
    """Base of all sections: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceConfig(BaseModel):
    """Where songs come from; what is in a data folder counts, not where it lies.

    Beside the fields there is one for every registered source, of its name: its own settings, such
    as `source.synthetic.num_songs`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = "synthetic"
    max_songs: int | None = Field(default=None, ge=1, description="take only the first so many")

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name not in SOURCES:
            message = f"there is no source of that name; there are {', '.join(SOURCES)}"
            raise ValueError(message)
        return name

    @model_validator(mode="before")
    @classmethod
    def _read_settings(cls, data: Any) -> Any:
        """Settings of every source, checked by its own model; defaults where none are given."""
        if not isinstance(data, Mapping):
            return data
        unknown = sorted(set(data) - set(cls.model_fields) - set(SOURCES))
        if unknown:
            message = f"there is no setting or source {unknown[0]!r}"
            raise ValueError(message)
        types = {name: find_source(name).settings_type for name in SOURCES}
        fields: dict[str, Any] = {name: (kind, kind()) for name, kind in types.items()}
        given = {name: value for name, value in data.items() if name in SOURCES}
        settings = create_model("SourceSettings", **fields).model_validate(given)
        return {**data, **{name: getattr(settings, name) for name in SOURCES}}

    @property
    def settings(self) -> BaseModel:
        """Those of the source that is named."""
        settings: BaseModel = getattr(self, self.name)
        return settings


class SplitConfig(Frozen):
    """The one split of a corpus, by song id."""

    validation_fraction: float = Field(default=0.05, gt=0, lt=1)


class VAETrainingConfig(Frozen):
    """One of the trainings of PhraseVAE."""

    objective: VAEObjectiveConfig
    training: TrainingConfig


class LatentsConfig(Frozen):
    """How phrases are laid out as slots of a song, and how their latents are improved.

    `refinement` may be null: the latents are then those of the encoder alone.
    """

    layout: SlotLayout = "role"
    refinement: RefinementConfig | None = RefinementConfig()


class BinomialTrainingConfig(Frozen):
    """The second system: what its rolls are, and how it is trained on them."""

    roll: RollConfig = RollConfig()
    recipe: BinomialRecipeConfig


class PipelineConfig(Frozen):
    """Everything that decides the result of a pipeline.

    The first two trainings of PhraseVAE and the tuning of its decoder may be null, which leaves
    them out. `pianotree` is the baseline that `phraseldm baseline` trains, `binomial` the second
    system, which `phraseldm binomial` trains.
    """

    preset: str
    source: SourceConfig
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()
    vae: VAEConfig
    infilling: VAETrainingConfig | None
    autoencoder: VAETrainingConfig | None
    bottleneck: VAETrainingConfig
    decoder: VAETrainingConfig | None = None
    pianotree: PianoTreeRecipeConfig | None = None
    binomial: BinomialTrainingConfig | None = None
    latents: LatentsConfig = LatentsConfig()
    denoiser: DenoiserConfig
    noise_schedule: NoiseScheduleConfig
    diffusion: TrainingConfig
    generation: GenerationConfig
    evaluation: EvaluationConfig = EvaluationConfig()

    def require_autoencoder(self) -> VAETrainingConfig:
        """The settings of the autoencoder's training.

        Raises:
            ConfigurationError: if that training is left out.
        """
        if self.autoencoder is None:
            message = "There is no autoencoder to train: the setting autoencoder is null."
            raise ConfigurationError(message)
        return self.autoencoder

    def require_pianotree(self) -> PianoTreeRecipeConfig:
        """The settings of the baseline.

        Raises:
            ConfigurationError: if the preset has none.
        """
        if self.pianotree is None:
            message = f"Preset {self.preset} has no PianoTree VAE; smoke and ablation do."
            raise ConfigurationError(message)
        return self.pianotree

    def require_binomial(self) -> BinomialTrainingConfig:
        """The settings of binomial diffusion.

        Raises:
            ConfigurationError: if the preset has none.
        """
        if self.binomial is None:
            message = f"Preset {self.preset} has no binomial diffusion; smoke, cpu and paper do."
            raise ConfigurationError(message)
        return self.binomial

    def require_phrases(self) -> None:
        """Songs are written from latents of phrases only.

        Raises:
            ConfigurationError: if a latent stands for something else.
        """
        if self.vae.granularity != "phrase":
            message = (
                f"PhraseLDM writes latents of phrases, and vae.granularity is "
                f"{self.vae.granularity!r}; train that one by `phraseldm sweep`."
            )
            raise ConfigurationError(message)

    def require_one_grid(self) -> None:
        """A model says of itself which grid its songs were on.

        Raises:
            ConfigurationError: if it would say something else than the songs are.
        """
        if self.vae.grid != self.ingest.grid:
            message = (
                f"Songs are rounded to {self.ingest.grid} places a bar (ingest.grid) and the "
                f"PhraseVAE says {self.vae.grid} (vae.grid); give both one value."
            )
            raise ConfigurationError(message)

    def with_overrides(self, overrides: Mapping[str, str]) -> "PipelineConfig":
        """A copy with dotted fields replaced, such as {"vae.latent_dim": "32"}.

        The name "seed" stands for the seeds of every training and of generation; one that is named
        beside it keeps its own.

        Raises:
            ConfigurationError: naming the field, if there is none of that name or the value does
                not fit it.
        """
        data = self.model_dump(mode="json")
        settings = dict(overrides)
        if "seed" in settings:
            settings = dict.fromkeys(self._seeds(), settings.pop("seed")) | settings
        for dotted, text in settings.items():
            _assign(data, dotted, _parse(text))
        try:
            config = PipelineConfig.model_validate(data)
        except ValidationError as error:
            where, value, reason = first_fault(error)
            message = f"Setting {where} = {value!r} does not do: {reason}."
            raise ConfigurationError(message) from error
        check_bounds(config.model_dump())
        config.require_one_grid()
        return config

    def _seeds(self) -> list[str]:
        """Names of all seeds that a repetition of an experiment changes."""
        trainings = ("infilling", "autoencoder", "bottleneck", "decoder", "pianotree")
        present = [name for name in trainings if getattr(self, name) is not None]
        seeds = [f"{name}.training.seed" for name in present]
        if self.binomial is not None:
            seeds.append("binomial.recipe.training.seed")
        return [*seeds, "diffusion.seed", "generation.seed"]


def first_fault(error: ValidationError) -> tuple[str, Any, str]:
    """Dotted name, value and complaint of the first fault, also within a source's settings."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ValidationError):
        place, value, reason = first_fault(inner)
        return f"{where}.{place}", value, reason
    return where, first["input"], plain_reason(first["msg"])


def _assign(data: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, field = dotted.split(".")
    section: Any = data
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None
    if not isinstance(section, dict) or field not in section:
        known = ", ".join(sorted(section)) if isinstance(section, dict) else ", ".join(sorted(data))
        message = f"There is no setting {dotted!r}; there are: {known}."
        raise ConfigurationError(message)
    section[field] = value


def _parse(text: str) -> Any:
    """A number, true, false, null or JSON where it reads as such, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # no JSON, too many digits, or too deep
        return text


def parse_assignments(assignments: list[str]) -> dict[str, str]:
    """["a.b=1"] -> {"a.b": "1"}.

    Raises:
        ConfigurationError: for an item without "=".
    """
    pairs: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            message = f"--set {assignment!r} is not of the form section.key=value."
            raise ConfigurationError(message)
        pairs[name.strip()] = value.strip()
    return pairs
