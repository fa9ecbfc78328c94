"""Stage `tokenise_songs`: songs -> bars and phrases as REMI-z tokens in Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phrase_models.score.song import Section, Song
from phrase_models.tokens.remiz import to_text
from phrase_models.tokens.song_tokens import SongTokens, encode_song
from storage import tables
from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import EmptyConfig
from tasks.stages.rows import read_accepted_songs, splits_of

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def tokenise_songs(context: StageContext) -> Mapping[str, Any]:
    """Write songs, sections, bars, phrases and chords: the tables of a corpus in one folder."""
    source = context.inputs["songs"].folder
    splits = splits_of(source)
    songs = read_accepted_songs(source)
    bars: list[dict[str, Any]] = []
    phrases: list[dict[str, Any]] = []
    counts: dict[str, dict[str, int]] = {}
    for number, song in enumerate(songs):
        tokens = encode_song(song)
        new_bars = bar_rows(song, tokens, splits[song.song_id])
        new_phrases = phrase_rows(song, tokens, splits[song.song_id])
        counts[song.song_id] = {"num_phrases": len(new_phrases), "num_tokens": len(tokens.ids)}
        bars += new_bars
        phrases += new_phrases
        if number % 100 == 0:
            context.report_progress(number / len(songs), f"{number} of {len(songs)} songs")
    tables.write_bars(context.output / "bars.parquet", bars)
    tables.write_phrases(context.output / "phrases.parquet", phrases)
    sections = tables.read_sections(source / "sections.parquet")
    tables.write_sections(context.output / "sections.parquet", sections.to_dicts())
    chords = tables.read_chords(source / "chords.parquet")
    tables.write_chords(context.output / "chords.parquet", chords.to_dicts())
    table = tables.read_songs(source / "songs.parquet")
    rows = [{**row, **counts.get(row["song_id"], {})} for row in table.iter_rows(named=True)]
    tables.write_songs(context.output / "songs.parquet", rows)
    accepted = table.filter(pl.col("accepted"))
    return {
        "num_songs": len(songs),
        "num_bars": len(bars),
        "num_phrases": len(phrases),
        "num_tokens": sum(count["num_tokens"] for count in counts.values()),
        "num_notes": sum(row["num_notes"] for row in phrases),
        "num_validation_songs": accepted.filter(pl.col("split") == "validation").height,
    }


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
