"""What a store knows of trained autoencoders: scores joined with how each was trained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from phrase_models.metrics.note_matching import PhraseCounts
from phrase_models.metrics.result import MetricResult
from phrase_models.metrics.song_counts import SONG_COUNTS, song_counts_of
from storage.artifacts import ArtifactRef, ArtifactStore
from storage.manifest import Manifest
from tasks.stages.registry import STAGES

COMPARED = ("granularity", "bottleneck", "num_queries", "latent_dim")
"""Fields of an architecture in which rows of one table differ."""


@dataclass(frozen=True)
class Measurement:
    """A scored model.

    Attributes:
        stage: that scored it.
        key: of its scores.
        scores: name to value, with "..._interval" pairs.
        trainings: configurations of its training stages, the first one first.
        seconds: of each training, None where that is not known.
        pictures: files beside its scores and its weights, with the artifacts that hold them.
        song_counts: notes of each held-out song, matched and not.
    """

    stage: str
    key: str
    scores: Mapping[str, Any]
    trainings: tuple[Mapping[str, Any], ...]
    seconds: tuple[float | None, ...]
    pictures: tuple[tuple[ArtifactRef, str], ...]
    song_counts: Mapping[str, PhraseCounts]

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Of the model."""
        architecture: Mapping[str, Any] = self.trainings[-1]["architecture"]
        return architecture

    @property
    def name(self) -> str:
        """A few words for the model."""
        return f"{self.architecture.get('granularity', 'bar')} latents, {self.key[:8]}"

    @property
    def is_pretrained(self) -> bool:
        """Whether span infilling came first."""
        return self.trainings[0].get("phase") == "infilling"

    @property
    def budget(self) -> int:
        """What must be equal for a fair comparison: tokens that the last stage sees."""
        return _tokens(self.trainings[-1])

    @property
    def recipe(self) -> str:
        """Every setting of the last stage but its seed, and but what the paper's tables vary."""
        last = self.trainings[-1]
        architecture = {
            name: value for name, value in self.architecture.items() if name not in COMPARED
        }
        training = {name: value for name, value in last["training"].items() if name != "seed"}
        settings = [architecture, last.get("objective"), training]
        return json.dumps(settings, sort_keys=True)

    @property
    def seed(self) -> int:
        """Of its last stage."""
        return int(self.trainings[-1]["training"]["seed"])

    def differs_in_seed_only(self, other: Measurement) -> bool:
        """Whether the two are repetitions of one training."""
        return (self.stage, self.architecture, self.recipe, self.tokens_seen) == (
            other.stage,
            other.architecture,
            other.recipe,
            other.tokens_seen,
        )

    @property
    def tokens_seen(self) -> int:
        """By all stages."""
        return sum(_tokens(training) for training in self.trainings)

    @property
    def training(self) -> str:
        """Steps x batch of each stage, and the time of all of them."""
        steps = " + ".join(
            f"{training['training']['num_steps']} x {training['training']['batch_size']}"
            for training in self.trainings
        )
        known = [value for value in self.seconds if value is not None]
        minutes = f", {sum(known) / 60:.1f} min" if len(known) == len(self.seconds) else ""
        return steps + minutes

    @property
    def num_units(self) -> int:
        """Held-out units scored."""
        return int(self.scores["num_phrases"])

    @property
    def num_songs(self) -> int:
        """Held-out songs they are of."""
        return int(self.scores["num_songs"])

    @property
    def numbers_per_bar(self) -> str:
        """Units of a bar times latent numbers of a unit, where there are latents."""
        if self.stage == "score_autoencoder" or "num_bars" not in self.scores:
            return ""
        units = self.num_units / self.scores["num_bars"]
        latent_dim = int(self.architecture["latent_dim"])
        return f"{latent_dim} x {units:.2f} = {latent_dim * units:.0f}"


def score_text(scores: Mapping[str, Any], name: str) -> str:
    """A score in percent with its interval, as far as they are defined."""
    if scores[name] is None or math.isnan(scores[name]):
        return "undefined"
    low, high = scores[f"{name}_interval"]
    interval = "" if low is None or math.isnan(low) else f" [{low:.2%}, {high:.2%}]"
    return f"{scores[name]:.2%}{interval}".replace("%", " %")


def difference_text(result: MetricResult) -> str:
    """A difference of scores in points of percent with its interval; empty where undefined."""
    if math.isnan(result.value):
        return ""
    interval = "" if math.isnan(result.low) else f" [{result.low:+.2%}, {result.high:+.2%}]"
    return f"{result.value:+.2%}{interval}".replace("%", " %")


def _tokens(training: Mapping[str, Any]) -> int:
    return int(training["training"]["num_steps"]) * int(training["training"]["batch_size"])


def find_measurements(store: ArtifactStore) -> list[Measurement]:
    """Every scored model whose weights the store still has, by stage and key.

    Scores of an older version, which kept no counts of songs, are left out; running again makes
    only them anew.
    """
    trained = store.manifests_by_digest([kind.name for kind in STAGES if kind.trains])
    found = []
    for scoring in (kind.name for kind in STAGES if kind.scores):
        for manifest in store.manifests(scoring):
            chain = _trainings(manifest.inputs.get("vae"), trained)
            measured = _measurement(store, manifest, chain) if chain else None
            if measured and measured.song_counts:
                found.append(measured)
    return sorted(found, key=lambda item: (item.stage, item.key))


def read_song_counts(store: ArtifactStore, ref: ArtifactRef) -> dict[str, PhraseCounts]:
    """From the artifact of a scoring stage; empty for one that an older version made."""
    if not store.has_file(ref, SONG_COUNTS):
        return {}
    return song_counts_of(store.read_json(ref, SONG_COUNTS))


def _trainings(digest: str | None, trained: Mapping[str, Manifest]) -> list[Manifest]:
    """The training that left an artifact and those before it, the first one first."""
    chain: list[Manifest] = []
    while digest is not None and digest in trained:
        chain.insert(0, trained[digest])
        digest = trained[digest].inputs.get("start_from")
    return chain


def _measurement(store: ArtifactStore, scored: Manifest, chain: Sequence[Manifest]) -> Measurement:
    ref = store.ref(scored)
    pictures = [
        (store.ref(manifest), record.path)
        for manifest, names in ((scored, "log/*.png"), (chain[-1], "log/learning_curves.png"))
        for record in manifest.files
        if PurePosixPath(record.path).match(names)
    ]
    return Measurement(
        stage=scored.stage,
        key=scored.key,
        scores=store.read_json(ref, "reconstruction.json"),
        trainings=tuple(manifest.config for manifest in chain),
        seconds=tuple(manifest.meta.get("training_seconds") for manifest in chain),
        pictures=tuple(pictures),
        song_counts=read_song_counts(store, ref),
    )
