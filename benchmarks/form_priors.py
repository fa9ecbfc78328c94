"""stub"""
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.song_form import SongForm
from phrase_models.score.song import ROLE_PROGRAMS, Section
from phrase_models.tokens.vocabulary import EMPTY_SLOT


@dataclass(frozen=True, slots=True)
class RealSong:
    song_id: str
    split: str
    sections: tuple[Section, ...]
    slots: list[list[list[int]]]
    form: SongForm


def read_songs(tables: Path) -> list[RealSong]:
    songs = pl.read_parquet(tables / "songs.parquet").filter(pl.col("accepted"))
    sections: dict[str, list[Section]] = {}
    rows = pl.read_parquet(tables / "sections.parquet").sort("song_id", "section_index")
    for song_id, *section in rows.select("song_id", "label", "start_bar", "num_bars").iter_rows():
        sections.setdefault(song_id, []).append(Section(*section))
    slots = {
        song_id: [[[EMPTY_SLOT] for _ in ROLE_PROGRAMS] for _ in range(num_bars)]
        for song_id, num_bars in songs.select("song_id", "num_bars").iter_rows()
    }
    phrases = pl.read_parquet(tables / "phrases.parquet")
    for song_id, bar, program, ids in phrases.select(
        "song_id", "bar_index", "program", "token_ids"
    ).iter_rows():
        slots[song_id][bar][ROLE_PROGRAMS.index(program)] = ids
    return [
        RealSong(song_id, split, tuple(sections[song_id]), slots[song_id],
                 form_of_slots(slots[song_id], sections[song_id]))
        for song_id, split in songs.select("song_id", "split").iter_rows()
    ]
