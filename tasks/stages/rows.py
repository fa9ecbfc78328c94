"""Songs <-> table rows: where the words of music and the words of the disk meet."""

from pathlib import Path
from typing import Any

import polars as pl

from phrase_models.score.chords import BarChords
from phrase_models.score.song import Note, Section, Song, Track
from storage import tables


def read_accepted_songs(songs_folder: Path) -> list[Song]:
    """All accepted songs of an `ingest_songs` artifact, by song id."""
    songs = tables.read_songs(songs_folder / "songs.parquet").filter(pl.col("accepted"))
    sections = _by_song(tables.read_sections(songs_folder / "sections.parquet"))
    notes = _by_song(tables.read_notes(songs_folder / "notes.parquet"))
    chords = chords_of(songs_folder)
    return [
        Song(
            song_id=row["song_id"],
            num_bars=row["num_bars"],
            tracks=_tracks(notes.get(row["song_id"], [])),
            sections=tuple(
                Section(item["label"], item["start_bar"], item["num_bars"])
                for item in sections.get(row["song_id"], [])
            ),
            tempo_bpm=row["tempo_bpm"],
            key_shift=row["key_shift"],
            chords=chords.get(row["song_id"], ()),
        )
        for row in songs.iter_rows(named=True)
    ]


def read_training_songs(songs_folder: Path) -> list[Song]:
    """The accepted songs of the training split, by song id."""
    splits = splits_of(songs_folder)
    return [song for song in read_accepted_songs(songs_folder) if splits[song.song_id] == "train"]


def _by_song(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        groups.setdefault(row["song_id"], []).append(row)
    return groups


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
