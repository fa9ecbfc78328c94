"""Stage `train_vae`: the last training of PhraseVAE, with its tight bottleneck and KL term."""

from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.settings.pipeline import PipelineConfig
from tasks.stages.vae_training import configured_training, vae_training

STAGE = vae_training("train_vae", starts_from=("train_infilling", "train_autoencoder"))


def vae_stage(
    config: PipelineConfig, phrases: ArtifactRef, start_from: ArtifactRef | None
) -> Stage:
    """PhraseVAE, from the last of the trainings before it that is done."""
    inputs = {"phrases": phrases} | ({"start_from": start_from} if start_from else {})
    return configured_training(STAGE, "vae", config, config.bottleneck, inputs)
