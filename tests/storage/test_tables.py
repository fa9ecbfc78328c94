"""Round trips of the Parquet tables, their metadata, and what they refuse."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import tables
from storage.errors import DamagedArtifact, DiskFull, MissingArtifact, NewerSchema, SchemaMismatch
from storage.schemas import BARS, CHORDS, NOTES, PHRASES, SECTIONS, SONGS

SONG = {
    "song_id": "001",
    "accepted": True,
    "reason": "ok",
    "split": "train",
    "num_bars": 71,
    "key_shift": -6,
    "tempo_bpm": 90,
    "section_layout": "i8A8B8o4",
    "num_notes": 1550,
    "loss_fraction": 0.0039,
    "residual16": 0,
}
REJECTED = {"song_id": "005", "accepted": False, "reason": "bad_midi", "detail": "It is empty."}
SECTION = {
    "song_id": "001",
    "split": "train",
    "section_index": 0,
    "label": "i",
    "start_bar": 0,
    "num_bars": 8,
}
BAR = {
    "song_id": "001",
    "split": "train",
    "bar_index": 0,
    "section_index": None,
    "bar_in_section": None,
    "num_phrases": 2,
    "num_notes": 9,
    "programs": [13, 0],
}
PHRASE = {
    "song_id": "001",
    "split": "validation",
    "bar_index": 70,
    "slot_index": 1,
    "program": 25,
    "tokens": "i-25 o-0 p-60 d-12",
    "token_ids": (5, 140, 201, 330),
    "num_notes": 1,
    "mean_pitch": 60.0,
}
NOTE = {"song_id": "001", "program": 13, "onset": 0, "pitch": 60, "duration": 12, "velocity": 96}
CHORD = {"song_id": "001", "split": "train", "bar_index": 0, "first": 1, "second": 38}
EVERY = [
    (SONGS, tables.write_songs, tables.read_songs, [SONG, REJECTED]),
    (SECTIONS, tables.write_sections, tables.read_sections, [SECTION]),
    (BARS, tables.write_bars, tables.read_bars, [BAR, BAR | {"programs": []}]),
    (PHRASES, tables.write_phrases, tables.read_phrases, [PHRASE]),
    (NOTES, tables.write_notes, tables.read_notes, [NOTE, NOTE | {"onset": np.int64(6000)}]),
    (CHORDS, tables.write_chords, tables.read_chords, [CHORD, CHORD | {"first": 0}]),
]
each_table = pytest.mark.parametrize(
    ("schema", "write", "read", "rows"), EVERY, ids=[item[0].name for item in EVERY]
)


@each_table
def test_round_trip(tmp_path, schema, write, read, rows):
    path = tmp_path / "folder" / "table.parquet"
    write(path, rows)
    frame = read(path)
    assert frame.columns == [column.name for column in schema.columns]
    assert list(frame.schema.values()) == [column.dtype for column in schema.columns]
    for row, expected in zip(frame.to_dicts(), rows, strict=True):
        for name, value in row.items():
            wanted = expected.get(name)
            assert value == (list(wanted) if isinstance(wanted, tuple) else wanted), name
    write(tmp_path / "again.parquet", frame.to_dicts())
    assert read(tmp_path / "again.parquet").equals(frame)


@each_table
def test_same_rows_same_bytes(tmp_path, schema, write, read, rows):
    for name in ("a", "b"):
        write(tmp_path / name, rows * 100)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@each_table
def test_no_rows(tmp_path, schema, write, read, rows):
    write(tmp_path / "empty", [])
    frame = read(tmp_path / "empty")
    assert frame.height == 0
    assert frame.columns == [column.name for column in schema.columns]


def test_bytes_do_not_depend_on_the_process(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from storage import tables\n"
        f"tables.write_phrases(pathlib.Path(sys.argv[1]), [{PHRASE!r}] * 50)\n"
    )
    contents = set()
    for seed in ("0", "1", "2"):
        path = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "POLARS_MAX_THREADS": "1"}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        subprocess.run([sys.executable, "-c", program, path], env=environment, check=True)
        contents.add(path.read_bytes())
    tables.write_phrases(tmp_path / "here", [PHRASE] * 50)
    contents.add((tmp_path / "here").read_bytes())
    assert len(contents) == 1


def test_units_and_version_are_in_the_file(tmp_path):
    tables.write_notes(tmp_path / "notes", [NOTE])
    stored = pq.read_schema(tmp_path / "notes")
    assert stored.field("onset").metadata == {
        b"unit": b"steps of 1/12 beat",
        b"meaning": b"from the start of bar 0",
    }
    metadata = pl.read_parquet_metadata(tmp_path / "notes")
    assert metadata["phraseldm.table"] == "notes"
    assert metadata["phraseldm.schema_version"] == "1"
    column = pq.ParquetFile(tmp_path / "notes").metadata.row_group(0).column(2)
    assert column.compression == "ZSTD"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tempo": 90.0}, "The table songs has no column tempo"),
        ({"num_bars": 71.5}, "column num_bars of the table songs holds a float, not Int32"),
        ({"num_bars": "71"}, "column num_bars of the table songs holds a str, not Int32"),
        ({"num_bars": True}, "column num_bars of the table songs holds a bool, not Int32"),
        ({"accepted": 1}, "column accepted of the table songs holds a int, not Boolean"),
        ({"tempo_bpm": "fast"}, "column tempo_bpm of the table songs holds a str, not Float64"),
        ({"song_id": 1}, "column song_id of the table songs holds a int, not String"),
        ({"song_id": None}, "Row 1 of the table songs has no song_id"),
        ({"num_bars": 2**31}, "column num_bars of the table songs holds a value beyond Int32"),
        ({"num_bars": 2**70}, "column num_bars of the table songs holds a value beyond Int32"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, change, complaint):
    with pytest.raises(SchemaMismatch, match=complaint):
        tables.write_songs(tmp_path / "songs", [SONG, SONG | change])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [([1.5], "holds a float"), ([None], "holds a NoneType"), ([40000], "beyond List")],
)
def test_lists_are_checked_inside(tmp_path, ids, complaint):
    with pytest.raises(SchemaMismatch, match=complaint):
        tables.write_phrases(tmp_path / "phrases", [PHRASE | {"token_ids": ids}])


def test_newer_table_is_refused_with_both_numbers(tmp_path, monkeypatch):
    path = tmp_path / "songs"
    with monkeypatch.context() as patch:
        patch.setattr("storage.schemas.TABLE_SCHEMA_VERSION", 4)
        tables.write_songs(path, [SONG])
    with pytest.raises(NewerSchema, match=r"table songs at .* has schema version 4 .* up to 1"):
        tables.read_songs(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MissingArtifact, match="There is no table songs"):
        tables.read_songs(tmp_path / "songs")
    tables.write_notes(tmp_path / "notes", [NOTE])
    with pytest.raises(SchemaMismatch, match="is not the table songs"):
        tables.read_songs(tmp_path / "notes")
    pl.DataFrame({"song_id": ["1"]}).write_parquet(tmp_path / "foreign")
    with pytest.raises(SchemaMismatch, match="is not the table songs"):
        tables.read_songs(tmp_path / "foreign")
    metadata = {"phraseldm.table": "songs", "phraseldm.schema_version": "1"}
    short = pa.table({"song_id": ["1"]}).replace_schema_metadata(metadata)
    pq.write_table(short, tmp_path / "short")
    with pytest.raises(SchemaMismatch, match="other columns"):
        tables.read_songs(tmp_path / "short")
    (tmp_path / "text").write_text("not Parquet at all")
    with pytest.raises(DamagedArtifact, match="is not a Parquet file"):
        tables.read_songs(tmp_path / "text")
    tables.write_songs(tmp_path / "torn", [SONG])
    content = (tmp_path / "torn").read_bytes()
    (tmp_path / "torn").write_bytes(b"PAR1" + bytes(200) + content[204:])
    with pytest.raises(DamagedArtifact, match="is not a Parquet file"):
        tables.read_songs(tmp_path / "torn")


def test_full_disk_keeps_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "songs"
    tables.write_songs(path, [SONG])
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(DiskFull):
        tables.write_songs(path, [SONG, REJECTED])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
