"""The plain files that the training of PhraseLDM reads, out of latents and tables."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from phrase_models.codec import PhraseCodec
from phrase_models.tokens import vocabulary
from phrase_models.tokens.song_layout import check_layout
from storage import tables
from storage.artifacts import ArtifactRef
from storage.latents import read_latents
from tasks.stages.rows import diffusion_songs


def write_dataset(folder: Path, inputs: Mapping[str, ArtifactRef]) -> None:
    """The plain files that the training process reads; `dataset.json` comes last."""
    file = read_latents(inputs["latents"].folder)
    songs = tables.read_songs(inputs["tables"].folder / "songs.parquet")
    layouts = dict(zip(songs["song_id"].to_list(), songs["section_layout"].to_list(), strict=True))
    codec = PhraseCodec.load(inputs["vae"].folder, check_layout(file.layout))
    end = codec.encode_phrases([[vocabulary.END_OF_SONG]])[0]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "latents.npy", file.latents)
    (folder / "songs.json").write_text(
        json.dumps(diffusion_songs(inputs["latents"].folder, layouts))
    )
    description = {
        "layout": file.layout,
        "slots_per_bar": file.slots_per_bar,
        "latent_dim": int(file.latents.shape[1]),
        "end_of_song_latent": end.tolist(),
    }
    (folder / "dataset.json").write_text(json.dumps(description))
