"""The road: annotated songs -> tables -> PhraseVAE -> latents -> PhraseLDM -> songs -> metrics.

Start reading here. Each stage is cached by what it is made of, so running this again does only what
has changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch
from tasks.stages.binomial_rolls import rolls_stage
from tasks.stages.collect_phrases import phrases_stage
from tasks.stages.collect_rolls import plain_rolls_stage
from tasks.stages.collect_songs import songs_stage
from tasks.stages.compose_corpus import corpus_stage
from tasks.stages.encode_latents import latents_stage
from tasks.stages.evaluate_songs import evaluation_stage
from tasks.stages.fit_priors import priors_stage
from tasks.stages.generate_songs import generation_stage
from tasks.stages.ingest_songs import ingest_stage
from tasks.stages.score_autoencoder import autoencoder_score_stage
from tasks.stages.score_pianotree import pianotree_score_stage
from tasks.stages.score_reconstruction import reconstruction_stage
from tasks.stages.tokenise_songs import tokenise_stage
from tasks.stages.train_autoencoder import autoencoder_stage
from tasks.stages.train_binomial import binomial_stage
from tasks.stages.train_diffusion import diffusion_stage
from tasks.stages.train_infilling import infilling_stage
from tasks.stages.train_pianotree import pianotree_stage
from tasks.stages.train_vae import vae_stage
from tasks.stages.tune_decoder import decoder_stage

Part = Literal["data", "vae", "latents", "diffusion", "songs", "metrics"]
PARTS: tuple[Part, ...] = get_args(Part)


def run_until(runner: StageRunner, launched: Launch, until: Part = "metrics") -> None:
    """Every stage in order up to the end of a part; the runner remembers what each one left."""
    if PARTS.index(until) > PARTS.index("vae"):
        launched.config.require_phrases()
    for part in road(runner, launched):
        if part == until:
            return


def road(runner: StageRunner, launched: Launch) -> Iterator[Part]:
    """Run the stages part by part, and say at the end of each which it was."""
    config = launched.config
    corpus = prepare(runner, launched)
    yield "data"
    vae = train_phrase_vae(runner, launched, corpus)
    yield "vae"
    latents = runner.run(latents_stage(config, corpus.songs, vae))
    yield "latents"
    dataset = runner.run(songs_stage(corpus.tables, vae, latents))
    diffusion = runner.run(diffusion_stage(config, dataset))
    yield "diffusion"
    made = {"songs": corpus.songs, "vae": vae, "diffusion": diffusion}
    if config.latents.layout == "role":  # others have no forms
        made["priors"] = runner.run(priors_stage(dataset))
    if "binomial" in launched.generator.needs:
        made["binomial"] = train_binomial_diffusion(runner, launched, corpus)
    songs = runner.run(generation_stage(config.generation, launched.generator, made))
    yield "songs"
    runner.run(evaluation_stage(config, corpus.songs, latents, songs))
    yield "metrics"


@dataclass(frozen=True)
class Corpus:
    """What preparation leaves: songs on the grid, and their tables."""

    songs: ArtifactRef
    tables: ArtifactRef


def prepare(runner: StageRunner, launched: Launch) -> Corpus:
    """Songs of the source, on the grid and as tables."""
    config = launched.config
    composition = corpus_stage(config)
    corpus = runner.run(composition) if composition else None
    songs = runner.run(ingest_stage(config, corpus=corpus, data=launched.data))
    return Corpus(songs, runner.run(tokenise_stage(songs)))


def train_phrase_vae(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """Span infilling, autoencoder, VAE, tuned decoder, each from the one before it; then figures.

    Returns:
        The VAE with the tuned decoder, or as it is where that training is left out.
    """
    config = launched.config
    phrases = runner.run(phrases_stage(corpus.tables))
    trained = pretrain_on_spans(runner, launched, phrases)
    if config.autoencoder is not None:
        trained = runner.run(autoencoder_stage(config, config.autoencoder, phrases, trained))
    vae = runner.run(vae_stage(config, phrases, trained))
    tuned = None
    if config.decoder is not None:
        tuned = runner.run(decoder_stage(config, config.decoder, phrases, vae))
    runner.run(reconstruction_stage(config, corpus.tables, vae, tuned))
    return tuned or vae


def pretrain_on_spans(
    runner: StageRunner, launched: Launch, phrases: ArtifactRef
) -> ArtifactRef | None:
    """Span infilling, unless it is left out."""
    config = launched.config
    if config.infilling is None:
        return None
    return runner.run(infilling_stage(config, config.infilling, phrases))


# ------------------------------------------------------------------ beside the road
def train_up_to_autoencoder(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """Only the trainings before the VAE's, and figures of the last (paper table 1)."""
    config = launched.config
    settings = config.require_autoencoder()
    phrases = runner.run(phrases_stage(corpus.tables))
    infilled = pretrain_on_spans(runner, launched, phrases)
    autoencoder = runner.run(autoencoder_stage(config, settings, phrases, infilled))
    runner.run(autoencoder_score_stage(config, corpus.tables, autoencoder))
    return autoencoder


def train_baseline(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """PianoTree VAE on whole bars, the baseline, and its figures (paper table 4)."""
    config = launched.config
    phrases = runner.run(phrases_stage(corpus.tables))
    vae = runner.run(pianotree_stage(config, phrases))
    runner.run(pianotree_score_stage(config, corpus.tables, vae))
    return vae


def train_binomial_diffusion(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """Binomial diffusion on piano rolls, the second system (Atassi 2023)."""
    config = launched.config
    rolls = runner.run(rolls_stage(config, corpus.songs))
    dataset = runner.run(plain_rolls_stage(rolls))
    return runner.run(binomial_stage(config, dataset))
