"""Stage `tokenise_songs`: songs -> bars and phrases as REMI-z tokens in Parquet."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from phrase_models.score.song import Section, Song
from phrase_models.tokens.remiz import to_text
from phrase_models.tokens.song_tokens import SongTokens, encode_song
from storage import tables
from storage.artifacts import ArtifactRef
from storage.schemas import BARS, PHRASES, SONGS
from tasks.engine.engines import sharded
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import EmptyConfig
from tasks.stages.rows import song_shards, splits_of

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

SHARD_SONGS = 32


def tokenise_songs(context: StageContext) -> Mapping[str, Any]:
    """Write songs, sections, bars, phrases and chords: the tables of a corpus in one folder."""
    source, output = context.inputs["songs"].folder, context.output
    splits = splits_of(source)
    shards, num_shards = song_shards(source, SHARD_SONGS)
    counts: dict[str, dict[str, int]] = {}
    num_bars = num_notes = 0
    with (
        tables.table_writer(output / "bars.parquet", BARS) as write_bars,
        tables.table_writer(output / "phrases.parquet", PHRASES) as write_phrases,
        sharded(context.runtime, tokenise, shards, num_shards) as results,
    ):
        for part in results:
            write_bars(part.bars)
            write_phrases(part.phrases)
            counts |= part.counts
            num_bars += len(part.bars)
            num_notes += sum(row["num_notes"] for row in part.phrases)
            context.report_progress(
                len(counts) / len(splits), f"{len(counts)} of {len(splits)} songs"
            )
    for name in ("sections.parquet", "chords.parquet"):
        shutil.copyfile(source / name, output / name)
    table = tables.read_songs(source / "songs.parquet")
    with tables.table_writer(output / "songs.parquet", SONGS) as write_songs:
        for row in table.iter_rows(named=True):
            write_songs([{**row, **counts.get(row["song_id"], {})}])
    return {
        "num_songs": len(splits),
        "num_bars": num_bars,
        "num_phrases": sum(count["num_phrases"] for count in counts.values()),
        "num_tokens": sum(count["num_tokens"] for count in counts.values()),
        "num_notes": num_notes,
        "num_validation_songs": sum(split == "validation" for split in splits.values()),
    }


@dataclass(frozen=True)
class TokenisedSongs:
    """Rows of some songs, and their counts of phrases and tokens by song id."""

    bars: list[dict[str, Any]]
    phrases: list[dict[str, Any]]
    counts: dict[str, dict[str, int]]


def tokenise(songs: Sequence[tuple[Song, str]]) -> TokenisedSongs:
    """Tables of some songs, each with its split."""
    part = TokenisedSongs([], [], {})
    for song, split in songs:
        tokens = encode_song(song)
        phrases = phrase_rows(song, tokens, split)
        part.counts[song.song_id] = {"num_phrases": len(phrases), "num_tokens": len(tokens.ids)}
        part.bars.extend(bar_rows(song, tokens, split))
        part.phrases.extend(phrases)
    return part


def bar_rows(song: Song, tokens: SongTokens, split: str) -> list[dict[str, Any]]:
    """Rows of `bars.parquet`."""
    places = _section_places(song.sections)
    first = np.searchsorted(tokens.bars, np.arange(song.num_bars + 1)).tolist()
    programs, num_notes = tokens.programs.tolist(), tokens.num_notes.tolist()
    return [
        {
            "song_id": song.song_id,
            "split": split,
            "bar_index": index,
            "section_index": places[index][0] if index < len(places) else None,
            "bar_in_section": places[index][1] if index < len(places) else None,
            "num_phrases": end - start,
            "num_notes": sum(num_notes[start:end]),
            "programs": programs[start:end],
        }
        for index, (start, end) in enumerate(pairwise(first))
    ]


def _section_places(sections: tuple[Section, ...]) -> list[tuple[int, int]]:
    """(section index, bar within it) of every labelled bar."""
    return [
        (index, bar) for index, section in enumerate(sections) for bar in range(section.num_bars)
    ]


def phrase_rows(song: Song, tokens: SongTokens, split: str) -> list[dict[str, Any]]:
    """Rows of `phrases.parquet`; the slot index is the place in REMI-z order."""
    ids = tokens.ids.tolist()
    slots = np.arange(len(tokens.bars)) - np.searchsorted(tokens.bars, tokens.bars)
    columns = (
        tokens.bars,
        slots,
        tokens.programs,
        tokens.starts,
        tokens.ends,
        tokens.num_notes,
        tokens.mean_pitches,
    )
    return [
        {
            "song_id": song.song_id,
            "split": split,
            "bar_index": bar_index,
            "slot_index": slot_index,
            "program": program,
            "tokens": to_text(ids[start:end]),
            "token_ids": ids[start:end],
            "num_notes": num_notes,
            "mean_pitch": mean_pitch,
        }
        for bar_index, slot_index, program, start, end, num_notes, mean_pitch in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


STAGE = StageKind(name="tokenise_songs", body=tokenise_songs, reads=("ingest_songs",))


def tokenise_stage(songs: ArtifactRef) -> Stage:
    """The tables of the corpus; grid and keys were decided at ingestion."""
    return STAGE.configured(EmptyConfig(), {"songs": songs})
