"""Reads what `benchmarks.headline_pack` writes; needs neither torch nor a table library."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from phrase_models.tokens import vocabulary


def read_slots(pack: Path) -> tuple[list[dict], list[list[int]], np.ndarray]:
    """Songs, tokens of every slot, chords (bars, 2)."""
    songs = json.loads((pack / "songs.json").read_text())
    with np.load(pack / "slots.npz") as file:
        ends = np.cumsum(file["lengths"])
        tokens = file["token_ids"].tolist()
        chords = file["chords"].astype(np.int64)
    starts = np.concatenate(([0], ends[:-1]))
    phrases = [tokens[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    return songs, phrases, chords


def held_out_phrases(songs: Sequence[dict], phrases: list[list[int]]) -> list[tuple[str, list]]:
    """Song and tokens of each phrase with notes of the validation songs (see `read_slots`)."""
    return [
        (song["song_id"], phrase)
        for song in songs
        if song["split"] == "validation"
        for phrase in phrases[3 * song["first_bar"] : 3 * (song["first_bar"] + song["num_bars"])]
        if phrase[0] >= vocabulary.FIRST_PROGRAM
    ]


def slots_of_songs(pack: Path, song_ids: Sequence[str]) -> list[list[list[int]]]:
    """Tokens of every slot of some songs, in their order."""
    songs, phrases, _ = read_slots(pack)
    places = {song["song_id"]: (3 * song["first_bar"], 3 * song["num_bars"]) for song in songs}
    return [phrases[start : start + n] for start, n in (places[one] for one in song_ids)]
