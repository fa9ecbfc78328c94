"""Stage `ingest_songs`: a source of songs -> songs, sections, notes and chords on the grid.

Every song found gets a row, accepted or not, with its reason; a bad file is one quarantined song.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phrase_models.errors import ConfigurationError
from phrase_models.score.song import Song, format_section_layout
from phrase_models.sources.duplicates import assign_splits, find_duplicate_groups
from phrase_models.sources.registry import find_source
from phrase_models.sources.source import IngestedSong, SongEntry, SongSource
from storage import tables
from storage.artifacts import ArtifactRef
from storage.fingerprint import digest_folder
from tasks.engine.process_pool import worker_pool
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import IngestSongsConfig

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

logger = logging.getLogger(__name__)
CHUNK = 8
"""Songs handed to a worker process at once."""


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
    ingested = read_songs(read, entries, context)
    groups = find_duplicate_groups({item.song_id: item.melody for item in ingested})
    splits = assign_splits([item.song_id for item in ingested], groups, config.validation_fraction)
    rows = [song_row(item, splits[item.song_id], groups.get(item.song_id)) for item in ingested]
    accepted = [item.song for item in ingested if item.accepted and item.song]
    tables.write_songs(context.output / "songs.parquet", rows)
    tables.write_sections(
        context.output / "sections.parquet",
        [row for song in accepted for row in section_rows(song, splits[song.song_id])],
    )
    tables.write_notes(
        context.output / "notes.parquet", [row for song in accepted for row in note_rows(song)]
    )
    tables.write_chords(
        context.output / "chords.parquet",
        [row for song in accepted for row in chord_rows(song, splits[song.song_id])],
    )
    reasons = Counter(item.reason for item in ingested)
    return {
        "num_songs": sum(entry.present for entry in entries),
        "num_accepted": len(accepted),
        "reasons": dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
    }


def read_songs(
    read: Callable[[SongEntry], IngestedSong], entries: Sequence[SongEntry], context: StageContext
) -> list[IngestedSong]:
    """Read every song, in parallel over processes; the order is that of the entries."""
    num_workers = context.runtime.num_workers
    read = partial(_read_or_refuse, read)
    results: list[IngestedSong] = []
    if num_workers <= 1:
        for entry in entries:
            results.append(read(entry))
            _report(context, len(results), len(entries))
        return results
    with worker_pool(num_workers) as map_songs:
        for result in map_songs(read, entries, chunksize=CHUNK):
            results.append(result)
            _report(context, len(results), len(entries))
    return results


def _read_or_refuse(read: Callable[[SongEntry], IngestedSong], entry: SongEntry) -> IngestedSong:
    """What a source makes of a song; what it did not foresee costs this song alone."""
    try:
        return read(entry)
    except Exception as error:  # of any source, whatever its reader trips over
        logger.exception("Song %s could not be read", entry.song_id)
        sentence = f"Reading song {entry.song_id} failed: {type(error).__name__}: {error}"
        return IngestedSong(entry.song_id, accepted=False, reason="reader_failed", detail=sentence)


def _report(context: StageContext, done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        context.report_progress(done / total, f"{done} of {total} songs")


def song_row(item: IngestedSong, split: str, duplicate_group: str | None) -> dict[str, Any]:
    """One row of `songs.parquet`."""
    return {
        **(song_facts(item.song) if item.song else {}),
        **item.statistics,
        "song_id": item.song_id,
        "accepted": item.accepted,
        "reason": item.reason,
        "detail": item.detail,
        "split": split,
        "duplicate_group": duplicate_group,
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


def section_rows(song: Song, split: str) -> list[dict[str, Any]]:
    """Rows of `sections.parquet`."""
    return [
        {
            "song_id": song.song_id,
            "split": split,
            "section_index": index,
            "label": section.label,
            "start_bar": section.start_bar,
            "num_bars": section.num_bars,
        }
        for index, section in enumerate(song.sections)
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


def chord_rows(song: Song, split: str) -> list[dict[str, Any]]:
    """Rows of `chords.parquet`, none of a song whose chords are not known."""
    return [
        {
            "song_id": song.song_id,
            "split": split,
            "bar_index": bar_index,
            "first": first,
            "second": second,
        }
        for bar_index, (first, second) in enumerate(song.chords)
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
