"""The three trainings of PhraseVAE, each from the one before it, and the figures of the last."""

from prefect import flow

from flows.prepare_data import Corpus, prepare
from phrase_models.errors import ConfigurationError
from tasks.launch import Launch, Request, launch
from tasks.stage import ArtifactRef, StageRunner
from tasks.stages import phrases_stage, reconstruction_stage, vae_stage


def train_phrase_vae(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """Span infilling, multi-query autoencoder, VAE; then reconstruction of held-out songs."""
    config = launched.config
    phrases = runner.run(phrases_stage(corpus.tables))
    autoencoder = pretrain(runner, launched, phrases)
    vae = runner.run(vae_stage(config, "vae", config.bottleneck, phrases, autoencoder))
    runner.run(reconstruction_stage(config, corpus.tables, vae))
    return vae


def train_autoencoder(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """Only the stages before the VAE's; then reconstruction of held-out songs (paper table 1)."""
    autoencoder = pretrain(runner, launched, runner.run(phrases_stage(corpus.tables)))
    if autoencoder is None or launched.config.autoencoder is None:
        message = "There is no autoencoder to train: autoencoder is null in the configuration."
        raise ConfigurationError(message)
    stage = reconstruction_stage(launched.config, corpus.tables, autoencoder, stage="autoencoder")
    runner.run(stage)
    return autoencoder


def pretrain(runner: StageRunner, launched: Launch, phrases: ArtifactRef) -> ArtifactRef | None:
    """Span infilling and the autoencoder, each unless it is left out; what the last one left."""
    config = launched.config
    trained: ArtifactRef | None = None
    if config.infilling is not None:
        trained = runner.run(vae_stage(config, "infilling", config.infilling, phrases, None))
    if config.autoencoder is not None:
        trained = runner.run(vae_stage(config, "autoencoder", config.autoencoder, phrases, trained))
    return trained


@flow(name="train-vae")
def train_vae(request: Request) -> str:
    """Everything up to a trained PhraseVAE; returns its folder."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        vae = train_phrase_vae(runner, launched, prepare(runner, launched))
    return str(vae.folder)
