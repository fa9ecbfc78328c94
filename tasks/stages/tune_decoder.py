"""Stage `tune_decoder`: the fourth training of PhraseVAE, a decoder that has heard errors.

Encoder and embedding are those of `train_vae`, so its latents are valid for both. Where this stage
is part of a pipeline, what it leaves is the PhraseVAE of all that comes after.
"""

from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.settings.pipeline import PipelineConfig, VAETrainingConfig
from tasks.stages.vae_training import configured_training, vae_training

STAGE = vae_training("tune_decoder", starts_from=("train_vae",))


def decoder_stage(
    config: PipelineConfig, settings: VAETrainingConfig, phrases: ArtifactRef, vae: ArtifactRef
) -> Stage:
    """The decoder of a finished PhraseVAE, tuned on noisy latents."""
    inputs = {"phrases": phrases, "start_from": vae}
    return configured_training(STAGE, "decoder", config, settings, inputs)
