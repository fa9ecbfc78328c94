"""Piano rolls of a corpus: one Arrow IPC file of packed bits, and a table of its songs.

Row r of the file is one bar; a song's bars lie together. What the bits mean is said in the
metadata, which whoever writes them chooses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from storage.arrow_files import reading_arrow, stated, write_column
from storage.errors import MissingArtifact, SchemaMismatch
from storage.manifest import refuse_newer
from storage.schemas import ROLL_SONGS
from storage.tables import read_table, write_table

ROLLS_NAME = "rolls.arrow"
SONGS_NAME = "songs.parquet"
ROLLS_SCHEMA_VERSION = 1
_PREFIX = "phraseldm.roll."
_VERSION = "phraseldm.schema_version"
_FIELD = "bar"
_COMPRESSION = "zstd"
"""Rolls are nearly empty: this makes them some thirty times smaller."""

ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RollsFile:
    """Rolls of a corpus.

    Attributes:
        rows: [R, B] uint8, packed bits of a bar each, read-only.
        songs: song_id, split, first_row, num_bars, section_layout; sorted by first_row.
        description: what the bits mean.
    """

    rows: ByteArray
    songs: pl.DataFrame
    description: Mapping[str, str]


def write_rolls(
    folder: Path,
    rows: ByteArray,
    songs: Sequence[Mapping[str, Any]],
    description: Mapping[str, str],
) -> None:
    """Write `rolls.arrow` and `songs.parquet` into a folder; equal rolls give equal bytes.

    Args:
        folder: that is there.
        rows: [R, B] uint8.
        songs: rows of `ROLL_SONGS` that cover the R rows without gaps.
        description: what the bits mean, kept as metadata.

    Raises:
        SchemaMismatch: if shape, type or songs do not fit.
        DiskFull: if the disk is full.
    """
    _check(rows, songs)
    values = pa.py_buffer(np.ascontiguousarray(rows))
    kind = pa.binary(rows.shape[1])
    column = pa.FixedSizeBinaryArray.from_buffers(kind, len(rows), [None, values])
    metadata = {_PREFIX + key: value for key, value in description.items()}
    metadata[_VERSION] = str(ROLLS_SCHEMA_VERSION)
    field = pa.field(_FIELD, kind, nullable=False, metadata={"unit": "bits of cells"})
    schema = pa.schema([field], metadata)
    write_column(folder / ROLLS_NAME, schema, column, compression=_COMPRESSION)
    write_table(folder / SONGS_NAME, ROLL_SONGS, songs)


def read_rolls(folder: Path) -> RollsFile:
    """Read the rolls of a folder.

    Raises:
        MissingArtifact: if the folder holds no rolls.
        NewerSchema: if a newer version of the program wrote them.
        SchemaMismatch: if the file is another one.
        DamagedArtifact: if the file is not Arrow IPC.
    """
    path = folder / ROLLS_NAME
    if not path.is_file():
        raise MissingArtifact(f"There are no rolls at {path}: run the pipeline to make them.")
    with reading_arrow(path), pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all().combine_chunks()
    metadata = stated(table.schema)
    version = metadata.get(_VERSION, "")
    if not version.isdigit() or table.schema.names != [_FIELD]:
        raise SchemaMismatch(f"{path} does not hold rolls of this program: name another folder.")
    refuse_newer(path, "rolls file", int(version), ROLLS_SCHEMA_VERSION)
    column = table.column(_FIELD).combine_chunks()
    width = column.type.byte_width
    rows = np.frombuffer(column.buffers()[1], np.uint8)[: len(column) * width]
    description = {
        key.removeprefix(_PREFIX): value
        for key, value in metadata.items()
        if key.startswith(_PREFIX)
    }
    songs = read_table(folder / SONGS_NAME, ROLL_SONGS).sort("first_row")
    return RollsFile(rows.reshape(-1, width), songs, description)


def _check(rows: ByteArray, songs: Sequence[Mapping[str, Any]]) -> None:
    if rows.ndim != 2 or 0 in rows.shape or rows.dtype != np.uint8:
        raise SchemaMismatch(f"Rolls are {rows.dtype} of {rows.shape} instead of bytes [R, B].")
    expected = 0
    for song in sorted(songs, key=lambda song: int(song["first_row"])):
        if song["first_row"] != expected:
            raise SchemaMismatch(
                f"Song {song['song_id']} starts at bar {song['first_row']}, but the songs before "
                f"it end at {expected}."
            )
        expected += song["num_bars"]
    if expected != len(rows):
        raise SchemaMismatch(f"The songs take {expected} bars, but there are {len(rows)}.")
