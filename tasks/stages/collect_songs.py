"""Stage `collect_songs`: the plain files that PhraseLDM is trained on, out of latents and tables.

The training reads this and not the tables, so a new column of the tables trains nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from phrase_models.codec import PhraseCodec
from phrase_models.tokens import vocabulary
from phrase_models.tokens.song_layout import check_layout
from storage import tables
from storage.latents import LatentsFile, read_latents
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import EmptyConfig

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext


def collect_songs(context: StageContext) -> Mapping[str, Any]:
    """Write `latents.npy`, `songs.json` and `dataset.json`."""
    inputs, output = context.inputs, context.output
    file = read_latents(inputs["latents"].folder)
    songs = tables.read_songs(inputs["tables"].folder / "songs.parquet")
    layouts = dict(zip(songs["song_id"].to_list(), songs["section_layout"].to_list(), strict=True))
    codec = PhraseCodec.load(inputs["vae"].folder, check_layout(file.layout))
    end = codec.encode_phrases([[vocabulary.END_OF_SONG]])[0]
    rows = song_rows(file, layouts)
    description = {
        "layout": file.layout,
        "slots_per_bar": file.slots_per_bar,
        "latent_dim": int(file.latents.shape[1]),
        "end_of_song_latent": end.tolist(),
    }
    np.save(output / "latents.npy", file.latents)
    (output / "songs.json").write_text(json.dumps(rows))
    (output / "dataset.json").write_text(json.dumps(description))
    return {"num_songs": len(rows), "num_latents": len(file.latents)}


def song_rows(file: LatentsFile, layouts: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the training reads of each song, in the order of the latents."""
    return [
        {
            "song_id": row["song_id"],
            "split": row["split"],
            "first_row": row["first_row"],
            "num_bars": row["num_bars"],
            "section_layout": layouts.get(row["song_id"], ""),
        }
        for row in file.songs.iter_rows(named=True)
    ]


STAGE = StageKind(
    name="collect_songs",
    body=collect_songs,
    reads=("tokenise_songs", "train_vae", "encode_latents"),
)


def songs_stage(tables: ArtifactRef, vae: ArtifactRef, latents: ArtifactRef) -> Stage:
    """What PhraseLDM is trained on; unchanged songs leave the training as it is."""
    inputs = {"tables": tables, "vae": vae, "latents": latents}
    return STAGE.configured(EmptyConfig(), inputs)
