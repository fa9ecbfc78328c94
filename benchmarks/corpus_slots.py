"""Real songs and phrases, as token ids, out of the tables of a corpus."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from phrase_models.tokens import vocabulary

Song = list[list[int]]
"""Token ids of every slot of a song, bar by bar."""


def read_songs(tables: Path, num_songs: int) -> list[Song]:
    """All slots of the first songs: their phrases in order, empty slots, the end of each bar."""
    phrases = pl.read_parquet(tables / "phrases.parquet")
    bars = pl.read_parquet(tables / "bars.parquet").sort("song_id", "bar_index")
    song_ids = bars["song_id"].unique(maintain_order=True).to_list()[:num_songs]
    slots: dict[tuple[str, int], list[list[int]]] = {}
    rows = phrases.filter(pl.col("song_id").is_in(song_ids)).sort("slot_index")
    for song_id, bar, tokens in rows.select("song_id", "bar_index", "token_ids").iter_rows():
        slots.setdefault((song_id, bar), []).append(tokens)
    songs: dict[str, Song] = {song_id: [] for song_id in song_ids}
    kept = bars.filter(pl.col("song_id").is_in(song_ids))
    for song_id, bar in kept.select("song_id", "bar_index").iter_rows():
        present = slots.get((song_id, bar), [])
        empty = [[vocabulary.EMPTY_SLOT]] * (3 - len(present))
        songs[song_id] += [*present, *empty, [vocabulary.END_OF_BAR]]
    return list(songs.values())


def read_phrases(tables: Path) -> list[list[int]]:
    return pl.read_parquet(tables / "phrases.parquet", columns=["token_ids"])["token_ids"].to_list()


def count_tokens(phrases: Sequence[Sequence[int]]) -> int:
    return sum(map(len, phrases))
