"""The three trainings of PhraseVAE, each from the one before it, and the figures of the last."""

from prefect import flow

from flows.prepare_data import Corpus, prepare
from tasks.launch import Launch, Request, launch
from tasks.stage import ArtifactRef, StageRunner
from tasks.stages import reconstruction_stage, vae_stage


def train_phrase_vae(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """Span infilling, multi-query autoencoder, VAE; then reconstruction of held-out songs."""
    config, tables = launched.config, corpus.tables
    infilling = runner.run(vae_stage(config, "train_infilling", tables, None))
    autoencoder = runner.run(vae_stage(config, "train_autoencoder", tables, infilling))
    vae = runner.run(vae_stage(config, "train_vae", tables, autoencoder))
    runner.run(reconstruction_stage(config, tables, vae))
    return vae


@flow(name="train-vae")
def train_vae(request: Request) -> str:
    """Everything up to a trained PhraseVAE; returns its folder."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        vae = train_phrase_vae(runner, launched, prepare(runner, launched))
    return str(vae.folder)
