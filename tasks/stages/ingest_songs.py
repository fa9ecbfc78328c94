"""Stage `ingest_songs`: a source of songs -> songs, sections, notes and chords on the grid.

Every song found gets a row, accepted or not, with its reason; a bad file is one quarantined song.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phrase_models.errors import ConfigurationError
from phrase_models.score.song import Section, Song, format_section_layout
from phrase_models.sources.duplicates import assign_splits, find_duplicate_groups
from phrase_models.sources.registry import find_source
from phrase_models.sources.source import IngestedSong, SongEntry, SongSource
from storage import tables
from storage.artifacts import ArtifactRef
from storage.fingerprint import digest_folder
from storage.schemas import CHORDS, NOTES, SECTIONS, SONGS
from tasks.engine.engines import sharded
from tasks.engine.shards import Shard
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import IngestSongsConfig

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

logger = logging.getLogger(__name__)
SHARD_SONGS = 8


def ingest_songs(context: StageContext, data: Path, source: SongSource[Any]) -> Mapping[str, Any]:
    """Read all songs of a data folder and write songs, sections, notes and chords.

    Args:
        context: of the stage.
        data: folder that the source reads.
        source: what reads it.
    """
    config = context.config_as(IngestSongsConfig)
    settings = source.settings_type.model_validate(config.settings)
    entries = source.list_songs(data, settings)[: config.max_songs]
    if not any(entry.present for entry in entries):
        message = f"There are no songs in {data}: it should be {source.folder_holds}."
        raise ConfigurationError(message)
    read = partial(source.read_song, data, rules=config.ingest, settings=settings)
    heard: list[_Heard] = []
    with tables.table_writer(context.output / "notes.parquet", NOTES) as write_notes:
        for item in read_songs(read, entries, context):
            if item.accepted and item.song:
                write_notes(note_rows(item.song))
            heard.append(_Heard.of(item))
    write_song_tables(context.output, heard, config.validation_fraction)
    reasons = Counter(item.row["reason"] for item in heard)
    return {
        "num_songs": sum(entry.present for entry in entries),
        "num_accepted": sum(item.row["accepted"] for item in heard),
        "reasons": dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
    }


@dataclass(frozen=True)
class _Heard:
    """What is kept of a song until all are read and the splits are known: not its notes."""

    row: dict[str, Any]
    melody: bytes
    sections: tuple[Section, ...] = ()
    chords: bytes = b""

    @classmethod
    def of(cls, item: IngestedSong) -> _Heard:
        row, melody = song_row(item), bytes(item.melody)
        if not (item.accepted and item.song):
            return cls(row, melody)
        chords = bytes(chord for bar in item.song.chords for chord in bar)
        return cls(row, melody, item.song.sections, chords)


def write_song_tables(folder: Path, heard: Sequence[_Heard], validation_fraction: float) -> None:
    """Write songs, sections and chords with the splits, for which all melodies are compared."""
    groups = find_duplicate_groups({item.row["song_id"]: item.melody for item in heard})
    splits = assign_splits((item.row["song_id"] for item in heard), groups, validation_fraction)
    with (
        tables.table_writer(folder / "songs.parquet", SONGS) as write_songs,
        tables.table_writer(folder / "sections.parquet", SECTIONS) as write_sections,
        tables.table_writer(folder / "chords.parquet", CHORDS) as write_chords,
    ):
        for item in heard:
            song_id = item.row["song_id"]
            split = splits[song_id]
            group = groups.get(song_id)
            write_songs([{**item.row, "split": split, "duplicate_group": group}])
            write_sections(section_rows(song_id, item.sections, split))
            write_chords(chord_rows(song_id, item.chords, split))


def read_songs(
    read: Callable[[SongEntry], IngestedSong], entries: Sequence[SongEntry], context: StageContext
) -> Iterator[IngestedSong]:
    """Read every song, over the workers of the engine; the order is that of the entries."""
    parts = [entries[start : start + SHARD_SONGS] for start in range(0, len(entries), SHARD_SONGS)]
    shards = [Shard(tuple(entry.song_id for entry in part), part) for part in parts]
    done = 0
    with sharded(context.runtime, partial(_read_part, read), shards, len(shards)) as results:
        for part in results:
            yield from part
            done += len(part)
            context.report_progress(done / len(entries), f"{done} of {len(entries)} songs")


def _read_part(
    read: Callable[[SongEntry], IngestedSong], entries: Sequence[SongEntry]
) -> list[IngestedSong]:
    return [_read_or_refuse(read, entry) for entry in entries]


def _read_or_refuse(read: Callable[[SongEntry], IngestedSong], entry: SongEntry) -> IngestedSong:
    """What a source makes of a song; what it did not foresee costs this song alone."""
    try:
        return read(entry)
    except Exception as error:  # of any source, whatever its reader trips over
        logger.exception("Song %s could not be read", entry.song_id)
        sentence = f"Reading song {entry.song_id} failed: {type(error).__name__}: {error}"
        return IngestedSong(entry.song_id, accepted=False, reason="reader_failed", detail=sentence)


def song_row(item: IngestedSong) -> dict[str, Any]:
    """One row of `songs.parquet`, without split and duplicate group."""
    return {
        **(song_facts(item.song) if item.song else {}),
        **item.statistics,
        "song_id": item.song_id,
        "accepted": item.accepted,
        "reason": item.reason,
        "detail": item.detail,
    }


def song_facts(song: Song) -> dict[str, Any]:
    """What the songs table says of any song that is used."""
    return {
        "num_bars": song.num_bars,
        "key_shift": song.key_shift,
        "tempo_bpm": song.tempo_bpm,
        "section_layout": format_section_layout(song.sections),
        "num_notes": song.num_notes,
    }


def section_rows(song_id: str, sections: Sequence[Section], split: str) -> list[dict[str, Any]]:
    """Rows of `sections.parquet`."""
    return [
        {
            "song_id": song_id,
            "split": split,
            "section_index": index,
            "label": section.label,
            "start_bar": section.start_bar,
            "num_bars": section.num_bars,
        }
        for index, section in enumerate(sections)
    ]


def note_rows(song: Song) -> list[dict[str, Any]]:
    """Rows of `notes.parquet`."""
    return [
        {
            "song_id": song.song_id,
            "program": track.program,
            "onset": note.onset,
            "pitch": note.pitch,
            "duration": note.duration,
            "velocity": note.velocity,
        }
        for track in song.tracks
        for note in track.notes
    ]


def chord_rows(song_id: str, chords: Sequence[int], split: str) -> list[dict[str, Any]]:
    """Rows of `chords.parquet`, none of a song whose chords are not known.

    Args:
        song_id: of the song.
        chords: ids, two a bar.
        split: of the song.
    """
    return [
        {
            "song_id": song_id,
            "split": split,
            "bar_index": bar_index,
            "first": first,
            "second": second,
        }
        for bar_index, (first, second) in enumerate(zip(chords[::2], chords[1::2], strict=True))
    ]


STAGE = StageKind(name="ingest_songs", body=ingest_songs, reads=("compose_corpus",))


def ingest_stage(
    config: PipelineConfig, *, corpus: ArtifactRef | None = None, data: Path | None = None
) -> Stage:
    """Songs on the grid, from a composed corpus or from a data folder outside the store."""
    folder = corpus.folder if corpus else data
    if folder is None:
        message = "ingest_stage needs a corpus or a data folder"
        raise ValueError(message)
    source = find_source(config.source.name)
    settings = IngestSongsConfig(
        source=config.source.name,
        # What decides a composed corpus is in the corpus already.
        settings={} if corpus else config.source.settings.model_dump(mode="json"),
        ingest=config.ingest,
        validation_fraction=config.split.validation_fraction,
        max_songs=config.source.max_songs,
    )
    return STAGE.configured(
        settings,
        {"corpus": corpus} if corpus else {},
        more_code=(type(source).__module__,),
        external_inputs={} if corpus else data_digests(source, folder),
        data=folder,
        source=source,
    )


def data_digests(source: SongSource[Any], folder: Path) -> dict[str, str]:
    """Digests of all that a source reads."""
    return {name: digest_folder(path) for name, path in source.read_folders(folder).items()}
