"""Latents -> PhraseLDM."""

from dataclasses import dataclass

from prefect import flow

from flows.encode_latents import encode
from flows.prepare_data import Corpus, prepare
from flows.train_vae import train_phrase_vae
from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.collect_songs import songs_stage
from tasks.stages.train_diffusion import diffusion_stage


@dataclass(frozen=True)
class Models:
    """The trained pair, and the latents between them."""

    vae: ArtifactRef
    latents: ArtifactRef
    diffusion: ArtifactRef


def train_models(runner: StageRunner, launched: Launch, corpus: Corpus) -> Models:
    """PhraseVAE, latents, PhraseLDM."""
    vae = train_phrase_vae(runner, launched, corpus)
    latents = encode(runner, launched, corpus, vae)
    dataset = runner.run(songs_stage(corpus.tables, vae, latents))
    diffusion = runner.run(diffusion_stage(launched.config, dataset))
    return Models(vae, latents, diffusion)


@flow(name="train-diffusion")
def train_diffusion(request: Request) -> str:
    """Everything up to a trained PhraseLDM; returns its folder."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        models = train_models(runner, launched, prepare(runner, launched))
    return str(models.diffusion.folder)
