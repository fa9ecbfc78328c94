"""What each training stage of PhraseVAE starts from, and which `Trainable` it is."""

from pathlib import Path

from phrase_models.training.config import TrainingConfig
from phrase_models.vae.config import VAEStage, VAEStageConfig
from phrase_models.vae.decoder_tuning import DecoderTuning
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_table import PhraseTable
from phrase_models.vae.pretrained import start_decoder_from, start_from
from phrase_models.vae.training import VAETraining


def start_stage(vae: PhraseVAE, stage: VAEStage, folder: Path | None) -> None:
    """Take over the outcome of an earlier stage, if there is one; the decoder needs one.

    Raises:
        ConfigurationError: if the decoder is to be tuned and this is no finished VAE.
        ValueError: if weights are missing or of another shape.
    """
    if stage == "decoder":
        start_decoder_from(vae, folder)
    elif folder is not None:
        start_from(vae, folder)


def build_training(
    vae: PhraseVAE,
    stage: VAEStage,
    config: VAEStageConfig,
    training: TrainingConfig,
    train: PhraseTable,
    validation: PhraseTable,
    bars: PhraseTable | None = None,
) -> VAETraining:
    """The `Trainable` of a stage.

    Args:
        vae: on the device to train on, started by `start_stage`.
        stage: which training.
        config: what is minimised.
        training: budget, optimiser, seed.
        train: what is drawn from.
        validation: held-out phrases.
        bars: whole bars for stage "infilling".
    """
    if stage == "decoder":
        return DecoderTuning(vae, config, training, train, validation)
    return VAETraining(vae, stage, config, training, train, validation, bars)
