"""Stage `train_infilling`: span infilling, the first training of PhraseVAE (paper section 3.2)."""

from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.settings.pipeline import PipelineConfig, VAETrainingConfig
from tasks.stages.vae_training import configured_training, vae_training

STAGE = vae_training("train_infilling")


def infilling_stage(
    config: PipelineConfig, settings: VAETrainingConfig, phrases: ArtifactRef
) -> Stage:
    """Span infilling, from random weights."""
    return configured_training(STAGE, "infilling", config, settings, {"phrases": phrases})
