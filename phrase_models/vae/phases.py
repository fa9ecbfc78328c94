"""What each training phase of PhraseVAE starts from, and which `Trainable` it is."""

from pathlib import Path

from phrase_models.training.config import TrainingConfig
from phrase_models.vae.config import VAEObjectiveConfig, VAEPhase
from phrase_models.vae.decoder_tuning import DecoderTuning
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_table import PhraseTable
from phrase_models.vae.pretrained import start_decoder_from, start_from
from phrase_models.vae.training import VAETraining


def start_phase(vae: PhraseVAE, phase: VAEPhase, folder: Path | None) -> None:
    """Take over the outcome of an earlier phase, if there is one; the decoder needs one.

    Raises:
        ConfigurationError: if the decoder is to be tuned and this is no finished VAE.
        ValueError: if weights are missing or of another shape.
    """
    if phase == "decoder":
        start_decoder_from(vae, folder)
    elif folder is not None:
        start_from(vae, folder)


def build_training(
    vae: PhraseVAE,
    phase: VAEPhase,
    config: VAEObjectiveConfig,
    training: TrainingConfig,
    train: PhraseTable,
    validation: PhraseTable,
    bars: PhraseTable | None = None,
) -> VAETraining:
    """The `Trainable` of a phase.

    Args:
        vae: on the device to train on, started by `start_phase`.
        phase: which training.
        config: what is minimised.
        training: budget, optimiser, seed.
        train: what is drawn from.
        validation: held-out phrases.
        bars: whole bars for phase "infilling".
    """
    if phase == "decoder":
        return DecoderTuning(vae, config, training, train, validation)
    return VAETraining(vae, phase, config, training, train, validation, bars)
