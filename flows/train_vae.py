"""The three trainings of PhraseVAE, each from the one before it, and the figures of the last."""

from prefect import flow

from flows.prepare_data import Corpus, prepare
from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.collect_phrases import phrases_stage
from tasks.stages.score_reconstruction import reconstruction_stage
from tasks.stages.train_vae import vae_stage


def train_phrase_vae(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """Span infilling, multi-query autoencoder, VAE; then reconstruction of held-out songs."""
    config = launched.config
    phrases = runner.run(phrases_stage(corpus.tables))
    trained = pretrain_on_spans(runner, launched, phrases)
    if config.autoencoder is not None:
        trained = runner.run(vae_stage(config, "autoencoder", config.autoencoder, phrases, trained))
    vae = runner.run(vae_stage(config, "vae", config.bottleneck, phrases, trained))
    runner.run(reconstruction_stage(config, corpus.tables, vae))
    return vae


def train_autoencoder(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """Only the stages before the VAE's; then reconstruction of held-out songs (paper table 1)."""
    config = launched.config
    settings = config.require_autoencoder()
    phrases = runner.run(phrases_stage(corpus.tables))
    infilled = pretrain_on_spans(runner, launched, phrases)
    autoencoder = runner.run(vae_stage(config, "autoencoder", settings, phrases, infilled))
    runner.run(reconstruction_stage(config, corpus.tables, autoencoder, stage="autoencoder"))
    return autoencoder


def pretrain_on_spans(
    runner: StageRunner, launched: Launch, phrases: ArtifactRef
) -> ArtifactRef | None:
    """Span infilling, unless it is left out."""
    config = launched.config
    if config.infilling is None:
        return None
    return runner.run(vae_stage(config, "infilling", config.infilling, phrases, None))


@flow(name="train-vae")
def train_vae(request: Request) -> str:
    """Everything up to a trained PhraseVAE; returns its folder."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        vae = train_phrase_vae(runner, launched, prepare(runner, launched))
    return str(vae.folder)
