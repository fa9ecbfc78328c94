"""What `train_infilling`, `train_autoencoder`, `train_vae` and `tune_decoder` have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.vae.specification import VAERecipeConfig, VAETrainingSpecification
from tasks.engine.learning_curves import save_curves
from tasks.engine.stage_kind import StageKind
from tasks.engine.subprocess_training import run_training

if TYPE_CHECKING:
    from phrase_models.vae.config import VAEPhase
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig, VAETrainingConfig


def train_on_phrases(context: StageContext) -> Mapping[str, Any]:
    """Train in a process of its own, from the training before it where there is one."""
    previous = context.inputs.get("start_from")
    spec = VAETrainingSpecification(
        recipe=context.config_as(VAERecipeConfig),
        phrases=context.inputs["phrases"].folder.resolve(),
        start_from=previous.folder.resolve() if previous else None,
        hardware=context.runtime.hardware,
    )
    return {**run_training(context, spec), **save_curves(context)}


def vae_training(name: str, *, starts_from: tuple[str, ...] = ()) -> StageKind:
    """The definition of one of the trainings.

    Args:
        name: of the stage.
        starts_from: stages whose weights it may go on from.
    """
    return StageKind(
        name=name,
        body=train_on_phrases,
        reads=("collect_phrases", *starts_from),
        code=("phrase_models.vae.trainer",),
        experiment="vae",
        trains=True,
    )


def configured_training(
    kind: StageKind,
    phase: VAEPhase,
    config: PipelineConfig,
    settings: VAETrainingConfig,
    inputs: Mapping[str, ArtifactRef],
) -> Stage:
    """One of the trainings with its recipe.

    Args:
        kind: which stage it is.
        phase: the same for the network, which trains other parts in each.
        config: of the pipeline.
        settings: the section of it that this training has.
        inputs: "phrases", and "start_from" where weights are taken over.
    """
    recipe = VAERecipeConfig(
        phase=phase,
        architecture=config.vae.for_phase(phase),
        objective=settings.objective,
        training=settings.training,
    )
    return kind.configured(recipe, inputs)
