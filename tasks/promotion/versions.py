"""What a registered version says of itself, and the artifacts of a store that it is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.artifacts import KEY_LETTERS, ArtifactRef, ArtifactStore
from storage.errors import MissingArtifact
from tasks.engine.model_registry import ModelVersion
from tasks.settings.pipeline import LatentsConfig, PipelineConfig
from tasks.settings.stages import EvaluationConfig, GenerationConfig

ARTIFACT_TAG = "artifact."
"""Tags with the key of a stage's artifact begin so."""


class ModelSettings(BaseModel):
    """How the songs of a model were made and measured, and those of another shall be.

    Attributes:
        generation: of the songs.
        evaluation: of them, beside real ones.
        latents: layout of the slots, and how latents are refined.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: GenerationConfig
    evaluation: EvaluationConfig
    latents: LatentsConfig

    @classmethod
    def of_pipeline(cls, config: PipelineConfig) -> ModelSettings:
        """The part of a pipeline's configuration."""
        return cls(
            generation=config.generation, evaluation=config.evaluation, latents=config.latents
        )


def settings_of(version: ModelVersion) -> ModelSettings:
    """The settings that a version's tags hold.

    Raises:
        MissingArtifact: if they hold none that this version of the program can read.
    """
    try:
        return ModelSettings.model_validate_json(version.tags.get("settings", ""))
    except ValidationError as error:
        message = (
            f"Version {version.number} of {version.name} does not say how its songs are made: run "
            "the pipeline again to register its models anew."
        )
        raise MissingArtifact(message) from error


def artifact_of(
    artifacts: ArtifactStore, version: ModelVersion, *stages: str
) -> ArtifactRef | None:
    """The artifact of the first of some stages that a version is made of, verified.

    Returns:
        None where the version was made without any of them.

    Raises:
        MissingArtifact: if this store does not have it.
        DamagedArtifact: if it is damaged.
    """
    for stage in stages:
        key = version.tags.get(f"{ARTIFACT_TAG}{stage}")
        if key is None:
            continue
        ref = artifacts.find(stage, key)
        if ref is None:
            message = (
                f"Version {version.number} of {version.name} is made of {stage}/"
                f"{key[:KEY_LETTERS]}, which is not in {artifacts.root}: name the store that has "
                "it with --store."
            )
            raise MissingArtifact(message)
        return ref
    return None


def required_artifact(artifacts: ArtifactStore, version: ModelVersion, *stages: str) -> ArtifactRef:
    """Likewise, of stages of which a version must have one; raises as `artifact_of`."""
    ref = artifact_of(artifacts, version, *stages)
    if ref is None:
        message = (
            f"Version {version.number} of {version.name} does not say which {' or '.join(stages)} "
            "it is made of: run the pipeline again to register its models anew."
        )
        raise MissingArtifact(message)
    return ref
