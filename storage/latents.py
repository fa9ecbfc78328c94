"""Latents of a corpus: one Arrow IPC file, memory-mapped when read, and a table of its songs.

Row r of the file is one slot; a song's slots lie together, bar after bar. Values are the raw
posterior means: normalisation happens in the model, in one place. Beside it lies the latent of the
end of a bar, which is the same in every bar.
"""

from collections.abc import Sequence
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
from storage.schemas import LATENT_SONGS
from storage.tables import read_table, write_table
from storage.writing import replacing

LATENTS_NAME = "latents.arrow"
SONGS_NAME = "songs.parquet"
BAR_END_NAME = "bar_end.npy"
LATENTS_SCHEMA_VERSION = 1
_CHECKED_ROWS = 65_536
_PREFIX = "phraseldm."
_FIELD = "latent"

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LatentsFile:
    """Latents of a corpus.

    Attributes:
        latents: [R, D] float32, read-only, straight from the mapped file.
        songs: song_id, split, first_row, num_bars; sorted by first_row.
        layout: name of the slot layout.
        slots_per_bar: rows a bar takes.
        latent_dim: D.
        vae_digest: digest of the VAE that encoded them.
        bar_end: [D] float32, latent of the end of a bar; None where it was not kept.
    """

    latents: FloatArray
    songs: pl.DataFrame
    layout: str
    slots_per_bar: int
    latent_dim: int
    vae_digest: str
    bar_end: FloatArray | None = None

    def song(self, song_id: str) -> FloatArray:
        """Latents of one song.

        Returns:
            [num_bars, slots_per_bar, D] float32, a read-only view.

        Raises:
            MissingArtifact: if the song is not in the file.
        """
        rows = self.songs.filter(pl.col("song_id") == song_id)
        if rows.is_empty():
            raise MissingArtifact(
                f"There are no latents of song {song_id}: name one of the {len(self.songs)} songs "
                "that were encoded."
            )
        first_row, num_bars = rows.row(0, named=True)["first_row"], rows["num_bars"][0]
        end = first_row + num_bars * self.slots_per_bar
        return self.latents[first_row:end].reshape(num_bars, self.slots_per_bar, self.latent_dim)


def write_latents(
    folder: Path,
    latents: FloatArray,
    songs: Sequence[dict[str, Any]],
    *,
    layout: str,
    slots_per_bar: int,
    vae_digest: str,
    bar_end: FloatArray | None = None,
) -> None:
    """Write `latents.arrow` and `songs.parquet` into a folder; equal latents give equal bytes.

    Args:
        folder: made if needed.
        latents: [R, D] float32; may be mapped from a file, and is then not copied.
        songs: rows of song_id, split, first_row, num_bars that cover the R rows without gaps.
        layout: name of the slot layout.
        slots_per_bar: rows a bar takes.
        vae_digest: digest of the VAE that encoded them.
        bar_end: [D] float32, latent of the end of a bar, to be kept beside them.

    Raises:
        SchemaMismatch: if shape, type or songs do not fit, or a value is not finite.
        DiskFull: if the disk is full.
    """
    _check_latents(latents)
    _check_songs(songs, len(latents), slots_per_bar)
    latent_dim = latents.shape[1]
    metadata = {
        "layout": layout,
        "slots_per_bar": str(slots_per_bar),
        "latent_dim": str(latent_dim),
        "vae_digest": vae_digest,
        "schema_version": str(LATENTS_SCHEMA_VERSION),
    }
    values = pa.array(np.ascontiguousarray(latents).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(values, latent_dim)
    field = pa.field(_FIELD, column.type, nullable=False, metadata={"unit": "raw latent"})
    schema = pa.schema([field], {_PREFIX + key: value for key, value in metadata.items()})
    write_column(folder / LATENTS_NAME, schema, column)
    write_table(folder / SONGS_NAME, LATENT_SONGS, songs)
    if bar_end is not None:
        with replacing(folder / BAR_END_NAME) as aside, aside.open("wb") as file:
            np.save(file, bar_end)


def read_latents(folder: Path) -> LatentsFile:
    """Map the latents of a folder into memory without copying them.

    Raises:
        MissingArtifact: if the folder holds no latents.
        NewerSchema: if a newer version of the program wrote them.
        SchemaMismatch: if the file is another one.
        DamagedArtifact: if the file is not Arrow IPC.
    """
    path = folder / LATENTS_NAME
    if not path.is_file():
        raise MissingArtifact(f"There are no latents at {path}: run the pipeline to encode them.")
    with reading_arrow(path):
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
    metadata = _read_metadata(path, reader.schema)
    if reader.num_record_batches != 1:
        raise SchemaMismatch(f"{path} has {reader.num_record_batches} batches instead of one.")
    column = reader.get_batch(0).column(_FIELD)
    latent_dim = int(metadata["latent_dim"])
    latents = column.values.to_numpy(zero_copy_only=True).reshape(-1, latent_dim)
    bar_end = folder / BAR_END_NAME
    return LatentsFile(
        latents=latents,
        songs=read_table(folder / SONGS_NAME, LATENT_SONGS).sort("first_row"),
        layout=metadata["layout"],
        slots_per_bar=int(metadata["slots_per_bar"]),
        latent_dim=latent_dim,
        vae_digest=metadata["vae_digest"],
        bar_end=np.load(bar_end) if bar_end.exists() else None,
    )


def _read_metadata(path: Path, schema: pa.Schema) -> dict[str, str]:
    metadata = {
        key.removeprefix(_PREFIX): value
        for key, value in stated(schema).items()
        if key.startswith(_PREFIX)
    }
    version = metadata.get("schema_version", "")
    if not version.isdigit() or _FIELD not in schema.names:
        raise SchemaMismatch(f"{path} does not hold latents of this program: name another folder.")
    refuse_newer(path, "latents file", int(version), LATENTS_SCHEMA_VERSION)
    return metadata


def _check_latents(latents: FloatArray) -> None:
    if latents.ndim != 2 or 0 in latents.shape:
        raise SchemaMismatch(f"Latents have the shape {latents.shape} instead of [rows, D].")
    if latents.dtype != np.float32:
        raise SchemaMismatch(f"Latents are {latents.dtype} instead of float32.")
    for start in range(0, len(latents), _CHECKED_ROWS):
        is_finite = np.isfinite(latents[start : start + _CHECKED_ROWS]).all(axis=1)
        if not is_finite.all():
            row = start + int(np.argmin(is_finite))
            raise SchemaMismatch(f"Latents hold a value that is not finite, first in row {row}.")


def _check_songs(songs: Sequence[dict[str, Any]], num_rows: int, slots_per_bar: int) -> None:
    expected = 0
    for song in sorted(songs, key=lambda song: int(song["first_row"])):
        if song["first_row"] != expected:
            raise SchemaMismatch(
                f"Song {song['song_id']} starts at latent row {song['first_row']}, but the songs "
                f"before it end at row {expected}."
            )
        expected += song["num_bars"] * slots_per_bar
    if expected != num_rows:
        raise SchemaMismatch(
            f"The songs take {expected} latent rows ({slots_per_bar} a bar), but there are "
            f"{num_rows}."
        )
