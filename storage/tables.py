"""Parquet tables of songs, sections, bars, phrases, notes and chords: rows in, polars frames out.

The same rows give the same bytes with the same versions of polars and pyarrow. Nothing is converted
on the way in but integers to floating point: polars alone would cut 1.5 to 1 in a column of
integers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import DamagedArtifact, MissingArtifact, NotReadable, SchemaMismatch
from storage.manifest import refuse_newer
from storage.schemas import (
    BARS,
    CHORDS,
    NOTES,
    PHRASES,
    SECTIONS,
    SONGS,
    TABLE_KEY,
    TABLE_SCHEMA_VERSION,
    VERSION_KEY,
    Column,
    TableSchema,
)
from storage.writing import replacing

_INTEGERS: tuple[type, ...] = (int, np.integer)
_KINDS: Mapping[type, tuple[type, ...]] = {
    pl.String: (str,),
    pl.Boolean: (bool, np.bool_),
    pl.Int16: _INTEGERS,
    pl.Int32: _INTEGERS,
    pl.Int64: _INTEGERS,
    pl.Float64: (*_INTEGERS, float, np.floating),
}

GROUP_ROWS = 32_768
"""Rows of a row group, which are held in memory when a table is written."""
BATCH_ROWS = 8192
"""Rows held in memory when a table is read song by song."""
Rows = Sequence[Mapping[str, Any]]


def write_songs(path: Path, rows: Rows) -> None:
    """Write one row for every song found, accepted or not.

    Raises:
        SchemaMismatch: if a row has an unknown or missing column, or a value of another type.
        DiskFull: if the disk is full.
    """
    write_table(path, SONGS, rows)


def read_songs(path: Path) -> pl.DataFrame:
    """Read `songs`; for columns and units see `storage.schemas.SONGS`.

    Raises:
        MissingArtifact: if there is no such file.
        NewerSchema: if a newer version of the program wrote it.
        SchemaMismatch: if it is another table.
        DamagedArtifact: if it is not a Parquet file.
    """
    return read_table(path, SONGS)


def write_sections(path: Path, rows: Rows) -> None:
    """Write the sections of all songs; raises as `write_songs`."""
    write_table(path, SECTIONS, rows)


def read_sections(path: Path) -> pl.DataFrame:
    """Read `sections`; raises as `read_songs`."""
    return read_table(path, SECTIONS)


def write_bars(path: Path, rows: Rows) -> None:
    """Write the bars of all songs; raises as `write_songs`."""
    write_table(path, BARS, rows)


def read_bars(path: Path) -> pl.DataFrame:
    """Read `bars`; raises as `read_songs`."""
    return read_table(path, BARS)


def write_phrases(path: Path, rows: Rows) -> None:
    """Write the phrases of all songs; raises as `write_songs`."""
    write_table(path, PHRASES, rows)


def read_phrases(path: Path) -> pl.DataFrame:
    """Read `phrases`; raises as `read_songs`."""
    return read_table(path, PHRASES)


def write_notes(path: Path, rows: Rows) -> None:
    """Write the notes of all songs; raises as `write_songs`."""
    write_table(path, NOTES, rows)


def read_notes(path: Path) -> pl.DataFrame:
    """Read `notes`; raises as `read_songs`."""
    return read_table(path, NOTES)


def write_chords(path: Path, rows: Rows) -> None:
    """Write the chords of all songs that have any; raises as `write_songs`."""
    write_table(path, CHORDS, rows)


def read_chords(path: Path) -> pl.DataFrame:
    """Read `chords`; raises as `read_songs`."""
    return read_table(path, CHORDS)


def write_table(path: Path, schema: TableSchema, rows: Rows) -> None:
    """Write rows as one Parquet file, in their order.

    Args:
        path: of the file, replaced whole.
        schema: of the table.
        rows: column name to value; optional columns may be left out.

    Raises:
        SchemaMismatch: if a row does not fit the schema.
        DiskFull: if the disk is full.
    """
    with table_writer(path, schema) as write:
        write(rows)


@contextmanager
def table_writer(path: Path, schema: TableSchema) -> Iterator[Callable[[Rows], None]]:
    """Write one Parquet file bit by bit; the same rows give the same bytes in whatever pieces.

    Args:
        path: of the file, replaced whole at the end.
        schema: of the table.

    Yields:
        A function that takes the next rows; raises as `write_table`.
    """
    arrow = schema.arrow_schema()
    waiting: list[Mapping[str, Any]] = []
    num_written = 0
    with (
        replacing(path) as aside,
        pq.ParquetWriter(
            aside,
            arrow.with_metadata(schema.file_metadata()),
            compression="zstd",
            compression_level=3,
        ) as file,
    ):

        def write_group(rows: Rows) -> None:
            nonlocal num_written
            columns = _frame(schema, rows, num_written).to_arrow().columns
            file.write_table(pa.Table.from_arrays(columns, schema=arrow), len(rows) or None)
            num_written += len(rows)

        def write(rows: Rows) -> None:
            waiting.extend(rows)
            while len(waiting) >= GROUP_ROWS:
                write_group(waiting[:GROUP_ROWS])
                del waiting[:GROUP_ROWS]

        yield write
        write_group(waiting)


def read_table(path: Path, schema: TableSchema) -> pl.DataFrame:
    """Read a table whose file must be of exactly this schema; raises as `read_songs`."""
    _check_header(path, schema)
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise _damaged_table(path) from error
    _check_columns(path, schema, frame)
    return frame


def iter_songs(path: Path, schema: TableSchema) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Songs of a table with their rows, read bit by bit; rows of a song stand together.

    Args:
        path: of the file.
        schema: of the table, which has a column `song_id`.

    Yields:
        The id of a song and its rows, in the order of the file. Raises as `read_songs`.
    """
    _check_header(path, schema)
    song_id, rows = "", list[dict[str, Any]]()
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                frame = pl.DataFrame(pl.from_arrow(batch))
                _check_columns(path, schema, frame)
                for row in frame.iter_rows(named=True):
                    if row["song_id"] != song_id and rows:
                        yield song_id, rows
                        rows = []
                    song_id = row["song_id"]
                    rows.append(row)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged_table(path) from error
    if rows:
        yield song_id, rows


def _check_header(path: Path, schema: TableSchema) -> None:
    try:
        stored = pq.read_metadata(path).metadata or {}
    except FileNotFoundError as error:
        raise MissingArtifact(
            f"There is no table {schema.name} at {path}: run the pipeline again to make it."
        ) from error
    except PermissionError as error:
        raise NotReadable(path) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged_table(path) from error
    stated = {key.decode(): value.decode() for key, value in stored.items()}
    if stated.get(TABLE_KEY) != schema.name or not stated.get(VERSION_KEY, "").isdigit():
        raise SchemaMismatch(
            f"{path} is not the table {schema.name} of this program: name the right file."
        )
    refuse_newer(path, f"table {schema.name}", int(stated[VERSION_KEY]), TABLE_SCHEMA_VERSION)


def _check_columns(path: Path, schema: TableSchema, frame: pl.DataFrame) -> None:
    if list(frame.schema.items()) != [(column.name, column.dtype) for column in schema.columns]:
        raise SchemaMismatch(
            f"The table {schema.name} at {path} has other columns than this program expects: "
            "remove it and run the pipeline again."
        )


def _damaged_table(path: Path) -> DamagedArtifact:
    return DamagedArtifact(
        f"{path} is not a Parquet file, or a damaged one: remove it and run the pipeline again."
    )


def _frame(schema: TableSchema, rows: Rows, first: int) -> pl.DataFrame:
    known = {column.name for column in schema.columns}
    unknown = sorted(set(chain.from_iterable(rows)) - known)
    if unknown:
        raise SchemaMismatch(
            f"The table {schema.name} has no column {', '.join(unknown)}: add it to the schema or "
            "leave it out."
        )
    return pl.DataFrame([_series(schema, column, rows, first) for column in schema.columns])


def _series(schema: TableSchema, column: Column, rows: Rows, first: int) -> pl.Series:
    values = [row.get(column.name) for row in rows]
    if not column.optional and None in values:
        index = first + values.index(None)
        raise SchemaMismatch(
            f"Row {index} of the table {schema.name} has no {column.name}, which every row needs."
        )
    dtype = column.dtype
    if isinstance(dtype, pl.List):
        items = chain.from_iterable(value for value in values if value is not None)
        _check_kind(schema, column, set(map(type, items)), dtype.inner.base_type())
        wide: pl.DataType = pl.List(pl.Int64)
        values = [None if value is None else list(value) for value in values]
    else:
        _check_kind(schema, column, set(map(type, values)) - {type(None)}, dtype.base_type())
        wide = pl.Int64() if dtype.is_integer() else dtype
    try:
        return pl.Series(column.name, values, dtype=wide).cast(dtype, strict=True)
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        raise SchemaMismatch(
            f"The column {column.name} of the table {schema.name} holds a value beyond {dtype}."
        ) from error


def _check_kind(schema: TableSchema, column: Column, found: set[type], dtype: type) -> None:
    allowed = _KINDS[dtype]
    for kind in sorted(found, key=lambda kind: kind.__name__):
        is_flag = issubclass(kind, bool | np.bool_)
        if not issubclass(kind, allowed) or is_flag != (dtype is pl.Boolean):
            raise SchemaMismatch(
                f"The column {column.name} of the table {schema.name} holds a {kind.__name__}, "
                f"not {column.dtype}."
            )
