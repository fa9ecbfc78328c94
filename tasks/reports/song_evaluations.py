"""What a store knows of songs: figures of `evaluate_songs` joined with how the songs were made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.metrics.result import MetricResult
from storage.artifacts import ArtifactStore
from storage.manifest import Manifest
from tasks.reports.song_values import SONG_VALUES, SongValues, song_values_of
from tasks.settings.stages import GenerationConfig

MAKERS = ("generate_songs", "encode_latents", "train_diffusion")
NAMED_BY_ROW = frozenset(
    {"generator", "num_bars", "sections", "form", "tempo_bpm", "transpose", "audio_seconds"}
)
"""Settings that make a row, or change nothing that is measured."""


@dataclass(frozen=True)
class SongEvaluation:
    """An artifact of `evaluate_songs`.

    Attributes:
        key: of the artifact.
        generation: settings of the songs.
        diffusion: recipe of the diffusion model; None for a baseline.
        latent_dim: of the latents that distances are taken in.
        metrics: column ("generated", "real", "held_out") to metric to its result.
        values: the same column to what was measured of each song.
    """

    key: str
    generation: Mapping[str, Any]
    diffusion: Mapping[str, Any] | None
    latent_dim: int | None
    metrics: Mapping[str, Mapping[str, MetricResult]]
    values: Mapping[str, SongValues]

    @property
    def num_songs(self) -> int:
        """Generated songs that were measured."""
        return len(self.values["generated"].song_ids)

    @property
    def generator(self) -> str:
        """Name of the family."""
        return str(self.generation["generator"])

    @property
    def denoiser(self) -> DenoiserConfig | None:
        """Of the diffusion model, where there is one."""
        if self.diffusion is None:
            return None
        return DenoiserConfig.model_validate(self.diffusion["denoiser"])

    @property
    def settings(self) -> str:
        """How the songs were made, beyond what their row says: what differs from the defaults."""
        defaults = GenerationConfig.model_validate({"num_songs": 1, "sampler": {}}).model_dump(
            mode="json"
        )
        plain = {**self.generation, **self.generation["sampler"]}
        usual = {**defaults, **defaults["sampler"]}
        skipped = NAMED_BY_ROW | {"num_songs", "sampler", "seed"}
        if self.generator != "phrase_ldm":
            skipped |= defaults["sampler"].keys()
        parts = [
            f"{name.replace('_', ' ')} {_short(value)}"
            for name, value in plain.items()
            if name not in skipped and value != usual.get(name)
        ]
        parts.append(f"seed {self.generation['seed']}")
        if self.diffusion is not None:
            parts.append(f"training seed {self.diffusion['training']['seed']}")
        return ", ".join(parts)


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return " ".join(text.split())[:40]


def find_song_evaluations(store: ArtifactStore) -> list[SongEvaluation]:
    """Every evaluation whose songs the store still has, those of most songs first.

    Evaluations of an older version, which kept no values of songs, are left out; running again
    makes only them anew.
    """
    made = store.manifests_by_digest(MAKERS)
    found = []
    for manifest in store.manifests("evaluate_songs"):
        evaluation = _evaluation(store, manifest, made)
        if evaluation is not None:
            found.append(evaluation)
    return sorted(found, key=lambda item: (-item.num_songs, item.settings, item.key))


def _evaluation(
    store: ArtifactStore, evaluated: Manifest, made: Mapping[str, Manifest]
) -> SongEvaluation | None:
    songs = made.get(evaluated.inputs["generated"])
    if songs is None:
        return None
    diffusion = made.get(songs.inputs.get("diffusion", ""))
    if "diffusion" in songs.inputs and diffusion is None:
        return None
    ref = store.ref(evaluated)
    if not store.has_file(ref, SONG_VALUES):
        return None
    values = song_values_of(store.read_json(ref, SONG_VALUES))
    if "generated" not in values:
        return None
    latents = made.get(evaluated.inputs["latents"])
    return SongEvaluation(
        key=evaluated.key,
        generation=songs.config,
        diffusion=diffusion.config if diffusion else None,
        latent_dim=latents.meta.get("latent_dim") if latents else None,
        metrics={
            column: {name: _result(name, entry) for name, entry in results.items()}
            for column, results in store.read_json(ref, "metrics.json").items()
        },
        values=values,
    )


def _result(name: str, entry: Mapping[str, Any]) -> MetricResult:
    value, low, high = (
        math.nan if entry[part] is None else float(entry[part]) for part in ("value", "low", "high")
    )
    return MetricResult(name, value, low, high, entry["num_songs"], entry["note"])
