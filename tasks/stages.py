"""Every stage of the pipeline: its configuration, what it reads, and the code that decides it.

The order and the gates are the flows' business; here is how each stage is wired.
"""

from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from phrase_models.vae.config import VAEStage
from storage.artifacts import ArtifactRef
from storage.fingerprint import digest_folder
from tasks.config import PipelineConfig, VAEStageSettings
from tasks.corpus import compose_corpus
from tasks.diffusion import DiffusionTrainingStage, train_diffusion
from tasks.evaluation import score_songs
from tasks.generation import generate_songs
from tasks.ingest import IngestStageConfig, ingest_songs
from tasks.latents import EncodeConfig, encode_latents
from tasks.pianotree import score_pianotree, train_pianotree
from tasks.stage import Stage
from tasks.tokenise import tokenise_songs
from tasks.vae import VAETrainingStage, train_vae_stage
from tasks.vae_figures import ReconstructionConfig, score_reconstruction
from tasks.vae_tables import collect_phrases

STAGE_NAMES = (
    "compose_corpus",
    "ingest_songs",
    "tokenise_songs",
    "collect_phrases",
    "train_infilling",
    "train_autoencoder",
    "score_autoencoder",
    "train_vae",
    "score_reconstruction",
    "train_pianotree",
    "score_pianotree",
    "encode_latents",
    "train_diffusion",
    "generate_songs",
    "evaluate_songs",
)


SIDE_STAGES = ("score_autoencoder", "train_pianotree", "score_pianotree")
"""Those that only `sweep` and `baseline` run."""


class EmptyConfig(BaseModel):
    """Of a stage that has nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def corpus_stage(config: PipelineConfig) -> Stage:
    """The synthetic corpus."""
    return Stage(
        name="compose_corpus",
        config=config.source.synthetic,
        inputs={},
        body=compose_corpus,
        code=("tasks.corpus",),
    )


def ingest_stage(
    config: PipelineConfig, *, corpus: ArtifactRef | None = None, data: Path | None = None
) -> Stage:
    """Songs on the grid, from a composed corpus or from a data folder outside the store."""
    folder = corpus.folder if corpus else data
    if folder is None:
        message = "ingest_stage needs a corpus or a data folder"
        raise ValueError(message)
    return Stage(
        name="ingest_songs",
        config=IngestStageConfig(
            ingest=config.ingest,
            validation_fraction=config.split.validation_fraction,
            max_songs=config.source.max_songs,
        ),
        inputs={"corpus": corpus} if corpus else {},
        external_inputs={} if corpus else data_digests(folder),
        body=partial(ingest_songs, data=folder),
        code=("tasks.ingest",),
    )


def data_digests(folder: Path) -> dict[str, str]:
    """Digests of the two checkouts' songs, without what git keeps beside them."""
    names = ("POP909-Dataset", "hierarchical-structure-analysis")
    return {name: digest_folder(folder / name / "POP909") for name in names}


def tokenise_stage(songs: ArtifactRef) -> Stage:
    """The tables of the corpus; grid and keys were decided at ingestion."""
    return Stage(
        name="tokenise_songs",
        config=EmptyConfig(),
        inputs={"songs": songs},
        body=tokenise_songs,
        code=("tasks.tokenise",),
    )


def phrases_stage(tables: ArtifactRef) -> Stage:
    """What the VAE is trained on; unchanged phrases leave the trainings as they are."""
    return Stage(
        name="collect_phrases",
        config=EmptyConfig(),
        inputs={"tables": tables},
        body=collect_phrases,
        code=("tasks.vae_tables",),
    )


def vae_stage(
    config: PipelineConfig,
    stage: VAEStage,
    settings: VAEStageSettings,
    phrases: ArtifactRef,
    start_from: ArtifactRef | None,
) -> Stage:
    """One of the three VAE trainings, from the one before it where there is one."""
    inputs = {"phrases": phrases} | ({"start_from": start_from} if start_from else {})
    return Stage(
        name=f"train_{stage}",
        config=VAETrainingStage.model_validate(
            {
                "stage": stage,
                "architecture": config.vae.for_stage(stage),
                "objective": settings.objective,
                "training": settings.training,
            }
        ),
        inputs=inputs,
        body=train_vae_stage,
        code=(
            "phrase_models.vae.training",
            "phrase_models.vae.pretrained",
            "phrase_models.training.loop",
        ),
        tracked=True,
        needs_device=True,
    )


def reconstruction_stage(
    config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef, *, stage: VAEStage = "vae"
) -> Stage:
    """Figures of the trained VAE, or of the autoencoder before it, on held-out songs."""
    return Stage(
        name="score_autoencoder" if stage == "autoencoder" else "score_reconstruction",
        config=ReconstructionConfig(seed=config.evaluation.seed),
        inputs={"tables": tables, "vae": vae},
        body=score_reconstruction,
        code=("tasks.vae_figures",),
        tracked=True,
    )


def pianotree_stage(config: PipelineConfig, phrases: ArtifactRef) -> Stage:
    """The baseline on whole bars."""
    return Stage(
        name="train_pianotree",
        config=config.require_pianotree(),
        inputs={"phrases": phrases},
        body=train_pianotree,
        code=("phrase_models.vae.pianotree_training", "phrase_models.training.loop"),
        tracked=True,
        needs_device=True,
    )


def pianotree_score_stage(config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef) -> Stage:
    """Figures of the baseline on held-out songs."""
    return Stage(
        name="score_pianotree",
        config=ReconstructionConfig(seed=config.evaluation.seed),
        inputs={"tables": tables, "vae": vae},
        body=score_pianotree,
        code=("tasks.pianotree",),
        tracked=True,
    )


def latents_stage(config: PipelineConfig, songs: ArtifactRef, vae: ArtifactRef) -> Stage:
    """Latents of the corpus."""
    return Stage(
        name="encode_latents",
        config=EncodeConfig(layout=config.latents.layout),
        inputs={"songs": songs, "vae": vae},
        body=encode_latents,
        code=("tasks.latents",),
    )


def diffusion_stage(
    config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef, latents: ArtifactRef
) -> Stage:
    """PhraseLDM."""
    return Stage(
        name="train_diffusion",
        config=DiffusionTrainingStage(
            denoiser=config.denoiser,
            noise_schedule=config.noise_schedule,
            training=config.diffusion,
        ),
        inputs={"tables": tables, "vae": vae, "latents": latents},
        body=train_diffusion,
        code=(
            "tasks.diffusion_dataset",
            "phrase_models.diffusion.training",
            "phrase_models.training.loop",
        ),
        tracked=True,
        needs_device=True,
    )


def generation_stage(config: PipelineConfig, vae: ArtifactRef, diffusion: ArtifactRef) -> Stage:
    """A batch of songs."""
    return Stage(
        name="generate_songs",
        config=config.generation,
        inputs={"vae": vae, "diffusion": diffusion},
        body=generate_songs,
        code=("tasks.generation",),
        tracked=True,
    )


def evaluation_stage(
    config: PipelineConfig, songs: ArtifactRef, latents: ArtifactRef, generated: ArtifactRef
) -> Stage:
    """Generated songs beside real ones."""
    return Stage(
        name="evaluate_songs",
        config=config.evaluation,
        inputs={"songs": songs, "latents": latents, "generated": generated},
        body=score_songs,
        code=("tasks.evaluation",),
        tracked=True,
    )
