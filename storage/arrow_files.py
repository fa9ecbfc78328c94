"""One column as an Arrow IPC file: written aside and renamed, its faults told in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from storage.errors import DamagedArtifact, NotReadable
from storage.writing import replacing


def write_column(
    path: Path, schema: pa.Schema, column: pa.Array, *, compression: str | None = None
) -> None:
    """Write the only column of a schema; equal columns give equal bytes.

    Raises:
        DiskFull: if the disk is full.
    """
    batch = pa.RecordBatch.from_arrays([column], schema=schema)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (
        replacing(path) as aside,
        aside.open("wb") as file,
        pa.ipc.new_file(file, schema, options=options) as writer,
    ):
        writer.write_batch(batch)


@contextmanager
def reading_arrow(path: Path) -> Iterator[None]:
    """Say in one sentence what is wrong with a file that is read inside.

    Raises:
        NotReadable: if it may not be read.
        DamagedArtifact: if it is not Arrow IPC.
    """
    try:
        yield
    except PermissionError as error:
        raise NotReadable(path) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedArtifact(
            f"{path} is not an Arrow file, or a damaged one: remove it and run the pipeline again."
        ) from error


def stated(schema: pa.Schema) -> dict[str, str]:
    """The metadata of a schema as text."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
