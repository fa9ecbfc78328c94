"""Stage `encode_latents`: phrases -> latents of whole songs in Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from phrase_models.codec import PhraseCodec
from phrase_models.tokens import vocabulary
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars
from storage.artifacts import ArtifactRef
from storage.latents import write_latents
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.music.encoding import encode_with_figures
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import EncodeLatentsConfig
from tasks.stages.rows import read_accepted_songs, splits_of

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def encode_latents(context: StageContext) -> Mapping[str, Any]:
    """Encode every slot of every accepted song: raw posterior means, refined where asked for."""
    config = context.config_as(EncodeLatentsConfig)
    vae = context.inputs["vae"]
    codec = PhraseCodec.load(vae.folder, config.layout, refinement=config.refinement)
    songs_folder = context.inputs["songs"].folder
    splits = splits_of(songs_folder)
    phrases: list[list[int]] = []
    rows: list[dict[str, Any]] = []
    for song in read_accepted_songs(songs_folder):
        rows.append(
            {
                "song_id": song.song_id,
                "split": splits[song.song_id],
                "first_row": len(phrases),
                "num_bars": song.num_bars,
            }
        )
        slots = bars_to_slots(song_to_bars(song), config.layout)
        phrases += [phrase for bar in slots for phrase in bar]
    latents, refined = encode_with_figures(codec, phrases)
    write_latents(
        context.output,
        latents,
        rows,
        layout=config.layout,
        slots_per_bar=codec.slots_per_bar,
        vae_digest=vae.digest,
        bar_end=codec.encode_phrases([[vocabulary.END_OF_BAR]])[0],
    )
    return {
        "num_latents": len(latents),
        "latent_dim": int(latents.shape[1]),
        "latent_std": float(np.std(latents)),
        **refined,
    }


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
