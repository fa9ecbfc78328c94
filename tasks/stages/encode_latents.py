"""Stage `encode_latents`: phrases -> latents of whole songs in Arrow."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phrase_models.score.song import Song
from phrase_models.tokens import vocabulary
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars
from storage.artifacts import ArtifactRef
from storage.latents import write_latents
from tasks.engine.engines import sharded
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.music.encoding import encode_with_figures, pooled_figures
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import EncodeLatentsConfig
from tasks.stages.rows import song_shards

if TYPE_CHECKING:
    from phrase_models.codec import PhraseCodec
    from tasks.engine.stage import StageContext

SHARD_SONGS = 32
"""Songs whose phrases are encoded together: equal ones once, so not too few; and in memory."""


def encode_latents(context: StageContext) -> Mapping[str, Any]:
    """Encode every slot of every accepted song: raw posterior means, refined where asked for."""
    config = context.config_as(EncodeLatentsConfig)
    vae = context.inputs["vae"]
    shards, num_shards = song_shards(context.inputs["songs"].folder, SHARD_SONGS)
    rows: list[dict[str, Any]] = []
    figures: list[dict[str, Any]] = []
    moments = _Moments()
    started = time.perf_counter()
    with TemporaryFile(dir=context.state) as file:
        encode = partial(encode_songs, vae.folder, config)
        with sharded(context.runtime, encode, shards, num_shards) as results:
            for part in results:
                first = moments.num_rows
                rows += [{**row, "first_row": first + row["first_row"]} for row in part.songs]
                file.write(part.latents.tobytes())
                moments.add(part.latents)
                figures.append(part.figures)
                done = len(figures) / num_shards
                context.report_progress(done, f"{len(rows)} songs encoded")
        file.flush()
        codec = _codec(vae.folder, config.model_dump_json())
        latent_dim = codec.vae.config.latent_dim
        write_latents(
            context.output,
            np.memmap(file, np.float32, "r", shape=(moments.num_rows, latent_dim)),
            rows,
            layout=config.layout,
            slots_per_bar=codec.slots_per_bar,
            vae_digest=vae.digest,
            bar_end=codec.encode_phrases([[vocabulary.END_OF_BAR]])[0],
        )
    return {
        "num_latents": moments.num_rows,
        "latent_dim": latent_dim,
        "latent_std": moments.deviation,
        **pooled_figures(figures, seconds=time.perf_counter() - started),
    }


@dataclass(frozen=True)
class EncodedSongs:
    """Some songs as latents.

    Attributes:
        latents: [R, D] float32.
        songs: rows of the table of latents, counted from the first of these.
        figures: see `encode_with_figures`.
    """

    latents: NDArray[np.float32]
    songs: list[dict[str, Any]]
    figures: dict[str, Any]


def encode_songs(
    vae_folder: Path, config: EncodeLatentsConfig, songs: Sequence[tuple[Song, str]]
) -> EncodedSongs:
    """Latents of some songs, each with its split; the model is loaded once in a process."""
    codec = _codec(vae_folder, config.model_dump_json())
    phrases: list[list[int]] = []
    rows: list[dict[str, Any]] = []
    for song, split in songs:
        row = {"song_id": song.song_id, "split": split, "num_bars": song.num_bars}
        rows.append({**row, "first_row": len(phrases)})
        slots = bars_to_slots(song_to_bars(song), config.layout)
        phrases += [phrase for bar in slots for phrase in bar]
    latents, figures = encode_with_figures(codec, phrases)
    return EncodedSongs(latents, rows, figures)


@lru_cache(maxsize=1)
def _codec(vae_folder: Path, settings: str) -> PhraseCodec:
    from phrase_models.codec import PhraseCodec

    config = EncodeLatentsConfig.model_validate_json(settings)
    return PhraseCodec.load(vae_folder, config.layout, refinement=config.refinement)


@dataclass
class _Moments:
    """Rows and values of latents that come part by part."""

    num_rows: int = 0
    num_values: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, latents: NDArray[np.float32]) -> None:
        values = latents.astype(np.float64)
        self.num_rows += len(values)
        self.num_values += values.size
        self.total += float(values.sum())
        self.squares += float(np.square(values).sum())

    @property
    def deviation(self) -> float:
        mean = self.total / self.num_values
        return math.sqrt(max(0.0, self.squares / self.num_values - mean**2))


STAGE = StageKind(
    name="encode_latents",
    body=encode_latents,
    reads=("ingest_songs", "train_vae", "tune_decoder"),
)


def latents_stage(config: PipelineConfig, songs: ArtifactRef, vae: ArtifactRef) -> Stage:
    """Latents of the corpus."""
    settings = EncodeLatentsConfig(
        layout=config.latents.layout, refinement=config.latents.refinement
    )
    return STAGE.configured(settings, {"songs": songs, "vae": vae})
