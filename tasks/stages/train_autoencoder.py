"""Stage `train_autoencoder`: the second training of PhraseVAE, all through the query tokens."""

from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.settings.pipeline import PipelineConfig, VAETrainingConfig
from tasks.stages.vae_training import configured_training, vae_training

STAGE = vae_training("train_autoencoder", starts_from=("train_infilling",))


def autoencoder_stage(
    config: PipelineConfig,
    settings: VAETrainingConfig,
    phrases: ArtifactRef,
    start_from: ArtifactRef | None,
) -> Stage:
    """The autoencoder without the tight bottleneck, from span infilling where that is done."""
    inputs = {"phrases": phrases} | ({"start_from": start_from} if start_from else {})
    return configured_training(STAGE, "autoencoder", config, settings, inputs)
