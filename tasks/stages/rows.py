"""Songs <-> table rows: where the words of music and the words of the disk meet."""

import logging
from collections.abc import Iterator
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import polars as pl

from phrase_models.score.chords import BarChords
from phrase_models.score.song import Note, Section, Song, Track
from phrase_models.sources.duplicates import share_of
from storage import tables
from storage.errors import SchemaMismatch
from storage.schemas import CHORDS, NOTES, SECTIONS, TableSchema
from tasks.engine.shards import Shard

logger = logging.getLogger(__name__)


def read_accepted_songs(songs_folder: Path) -> list[Song]:
    """All accepted songs of an `ingest_songs` artifact, by song id."""
    return [*iter_accepted_songs(songs_folder)]


def iter_accepted_songs(songs_folder: Path) -> Iterator[Song]:
    """The same, a song at a time: the notes of the others are not in memory.

    Raises:
        SchemaMismatch: if the tables do not have their songs in one order.
    """
    songs = tables.read_songs(songs_folder / "songs.parquet").filter(pl.col("accepted"))
    sections, notes, chords = (
        _SongRows(songs_folder / f"{schema.name}.parquet", schema)
        for schema in (SECTIONS, NOTES, CHORDS)
    )
    for row in songs.iter_rows(named=True):
        song_id = row["song_id"]
        yield Song(
            song_id=song_id,
            num_bars=row["num_bars"],
            tracks=_tracks(notes.take(song_id)),
            sections=tuple(
                Section(item["label"], item["start_bar"], item["num_bars"])
                for item in sections.take(song_id)
            ),
            tempo_bpm=row["tempo_bpm"],
            key_shift=row["key_shift"],
            chords=tuple((bar["first"], bar["second"]) for bar in chords.take(song_id)),
        )
    for rows in (sections, notes, chords):
        rows.check_end()


def read_training_songs(songs_folder: Path, most: int | None = None) -> list[Song]:
    """The accepted songs of the training split, by song id.

    Args:
        songs_folder: of an `ingest_songs` artifact.
        most: as many at most; which ones their ids decide, and that there are more is logged.
    """
    names = [name for name, split in splits_of(songs_folder).items() if split == "train"]
    if most is not None and len(names) > most:
        logger.info("Of %d training songs %d are read", len(names), most)
        names = sorted(names, key=share_of)[:most]
    wanted = set(names)
    return [song for song in iter_accepted_songs(songs_folder) if song.song_id in wanted]


class _SongRows:
    """Rows of a table, taken song by song in its order; a song may have none."""

    def __init__(self, path: Path, schema: TableSchema) -> None:
        self._path, self._songs = path, tables.iter_songs(path, schema)
        self._next = next(self._songs, None)

    def take(self, song_id: str) -> list[dict[str, Any]]:
        if self._next is None or self._next[0] != song_id:
            return []
        rows = self._next[1]
        self._next = next(self._songs, None)
        return rows

    def check_end(self) -> None:
        if self._next is not None:
            message = (
                f"{self._path} has rows of song {self._next[0]} that the songs table does not have "
                "in that place: run the pipeline again to make it."
            )
            raise SchemaMismatch(message)


def _tracks(rows: list[dict[str, Any]]) -> tuple[Track, ...]:
    notes: dict[int, list[Note]] = {}
    for row in rows:
        note = Note(row["onset"], row["pitch"], row["duration"], row["velocity"])
        notes.setdefault(row["program"], []).append(note)
    return tuple(Track(program, tuple(items)) for program, items in notes.items())


def chords_of(songs_folder: Path) -> dict[str, tuple[BarChords, ...]]:
    """Chord ids of every song whose chords are known, two a bar from bar 0.

    Args:
        songs_folder: of an artifact of `ingest_songs` or `tokenise_songs`.
    """
    frame = tables.read_chords(songs_folder / "chords.parquet").sort("song_id", "bar_index")
    bars: dict[str, list[BarChords]] = {}
    for song_id, first, second in frame.select("song_id", "first", "second").iter_rows():
        bars.setdefault(song_id, []).append((first, second))
    return {song_id: tuple(chords) for song_id, chords in bars.items()}


def splits_of(songs_folder: Path) -> dict[str, str]:
    """Split of every accepted song."""
    songs = tables.read_songs(songs_folder / "songs.parquet").filter(pl.col("accepted"))
    return dict(zip(songs["song_id"].to_list(), songs["split"].to_list(), strict=True))


def song_shards(songs_folder: Path, size: int) -> tuple[Iterator[Shard], int]:
    """The accepted songs, each with its split, in shards of so many, and the number of shards.

    What is in a shard does not depend on the engine or its workers, so nor does what it comes to.
    """
    splits = splits_of(songs_folder)

    def shards() -> Iterator[Shard]:
        songs = ((song, splits[song.song_id]) for song in iter_accepted_songs(songs_folder))
        while part := tuple(islice(songs, size)):
            yield Shard(tuple(song.song_id for song, _ in part), part)

    return shards(), ceil(len(splits) / size)
