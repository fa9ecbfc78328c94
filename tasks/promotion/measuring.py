"""What the gate is told of a model: read from the artifacts that measured it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phrase_models.generators import generator_entry
from phrase_models.metrics.result import MetricResult
from storage.artifacts import ArtifactRef, ArtifactStore
from storage.opening import existing_store
from tasks.engine.model_registry import ModelVersion
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.runtime import default_runtime
from tasks.engine.stage import Session, Stage, StageRunner
from tasks.engine.tracking import Tracking
from tasks.promotion.gate import FAILURES, Measured
from tasks.promotion.versions import artifact_of, required_artifact, settings_of
from tasks.reports.measurements import read_song_counts
from tasks.reports.provenance import VAE_STAGES
from tasks.reports.song_values import RESAMPLES, SONG_VALUES, resamples_of, song_values_of
from tasks.settings.stages import (
    EncodeLatentsConfig,
    EvaluationConfig,
    GenerationConfig,
    ReconstructionConfig,
)
from tasks.stages import encode_latents, evaluate_songs, generate_songs, score_reconstruction

DISTANCES = ("feature_frechet", "phrase_fid")


@dataclass(frozen=True)
class Measurable:
    """A model and what it is to be measured on.

    Attributes:
        name: for people.
        corpus: songs of the corpus.
        tables: of the same songs.
        trained_vae: before its decoder was tuned.
        tuned_vae: with the tuned decoder, or None.
        diffusion: the PhraseLDM.
        priors: of its plans, or None.
        encoding: how songs become its latents.
        generation: the songs that it writes.
        evaluation: how these are measured.
    """

    name: str
    corpus: ArtifactRef
    tables: ArtifactRef
    trained_vae: ArtifactRef
    tuned_vae: ArtifactRef | None
    diffusion: ArtifactRef
    priors: ArtifactRef | None
    encoding: EncodeLatentsConfig
    generation: GenerationConfig
    evaluation: EvaluationConfig

    @property
    def vae(self) -> ArtifactRef:
        """The PhraseVAE that its songs are decoded by."""
        return self.tuned_vae or self.trained_vae

    def score_stage(self) -> Stage:
        """What its PhraseVAE keeps of held-out songs."""
        config = ReconstructionConfig(
            seed=self.evaluation.seed, refinement=self.encoding.refinement
        )
        inputs = {"tables": self.tables, "vae": self.trained_vae}
        tuned = {"tuned": self.tuned_vae} if self.tuned_vae else {}
        return score_reconstruction.STAGE.configured(config, inputs | tuned)

    def latents_stage(self) -> Stage:
        """The corpus in its latents."""
        inputs = {"songs": self.corpus, "vae": self.vae}
        return encode_latents.STAGE.configured(self.encoding, inputs)

    def songs_stage(self) -> Stage:
        """Songs that it writes."""
        inputs = {"vae": self.vae, "diffusion": self.diffusion}
        priors = {"priors": self.priors} if self.priors else {}
        entry = generator_entry(self.generation.generator)
        return generate_songs.generation_stage(self.generation, entry, inputs | priors)

    def evaluation_stage(self, latents: ArtifactRef, songs: ArtifactRef) -> Stage:
        """These songs beside real ones."""
        inputs = {"songs": self.corpus, "latents": latents, "generated": songs}
        return evaluate_songs.STAGE.configured(self.evaluation, inputs)


def measurable(
    artifacts: ArtifactStore, version: ModelVersion, like: ModelVersion | None = None
) -> Measurable:
    """A registered model, to be measured on its own corpus or on that of another one.

    Args:
        artifacts: the store that holds its artifacts.
        version: of the generator.
        like: whose corpus, generation and evaluation are taken; its own if None.

    Raises:
        MissingArtifact: if the store does not hold them.
        DamagedArtifact: if one is damaged.
    """
    own, common = settings_of(version), settings_of(like or version)
    encoding = EncodeLatentsConfig(**own.latents.model_dump())
    vae_stages = [stage for stage in VAE_STAGES if stage != "tune_decoder"]
    sampler = own.generation.sampler  # how a model samples belongs to it
    return Measurable(
        name=f"version {version.number}",
        corpus=required_artifact(artifacts, like or version, "ingest_songs"),
        tables=required_artifact(artifacts, like or version, "tokenise_songs"),
        trained_vae=required_artifact(artifacts, version, *vae_stages),
        tuned_vae=artifact_of(artifacts, version, "tune_decoder"),
        diffusion=required_artifact(artifacts, version, "train_diffusion"),
        priors=artifact_of(artifacts, version, "fit_priors"),
        encoding=encoding,
        generation=common.generation.model_copy(update={"sampler": sampler}),
        evaluation=common.evaluation,
    )


def read_measured(
    artifacts: ArtifactStore, name: str, scored: ArtifactRef, evaluated: ArtifactRef
) -> Measured:
    """What the gate is told of a model.

    Args:
        artifacts: the store.
        name: of the model, for people.
        scored: artifact of `score_reconstruction`.
        evaluated: artifact of `evaluate_songs`.
    """
    values = song_values_of(artifacts.read_json(evaluated, SONG_VALUES))
    resamples = resamples_of(artifacts.read_json(evaluated, RESAMPLES))
    metrics = artifacts.read_json(evaluated, "metrics.json")
    distances = {
        metric: MetricResult(
            metric,
            _value(metrics["generated"].get(metric)),
            math.nan,
            math.nan,
            len(values["generated"].song_ids),
            resamples=resamples.get(metric, ()),
        )
        for metric in DISTANCES
    }
    return Measured(
        name=name,
        song_counts=read_song_counts(artifacts, scored),
        songs=values["generated"],
        real=values["real"],
        held_out=values["held_out"],
        distances={metric: found for metric, found in distances.items() if found.resamples},
        floors={metric: _value(metrics["real"].get(metric)) for metric in DISTANCES},
        failures=_value(metrics["generated"].get(FAILURES)),
    )


def _value(result: dict[str, Any] | None) -> float:
    return math.nan if result is None or result["value"] is None else float(result["value"])


@contextmanager
def measuring(store: Path) -> Iterator[StageRunner]:
    """A runner of the stages that measure, tracked as those of a pipeline.

    Raises:
        ServiceUnreachable: if an MLflow server is named and does not answer.
    """
    runtime = default_runtime()
    tracking = Tracking(store, enabled=runtime.tracking)
    tracking.check()
    yield PlainRunner(
        Session(
            store=existing_store(store),
            runtime=runtime,
            tracker_factory=tracking.tracker_of_stage,
        )
    )
    tracking.send_waiting()
