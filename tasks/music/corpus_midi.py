"""Ingested songs of a store -> aligned MIDI files, one a song."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from phrase_models.score.key_names import key_name
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.transforms import transpose
from storage import tables
from storage.artifacts import ArtifactRef
from storage.opening import open_store
from storage.paths import FolderKind, check_new_folder, replacing_files
from tasks.stages.rows import read_accepted_songs

INGEST = "ingest_songs"
MIDI_FILES = FolderKind("MIDI files", lambda name: name.endswith(".mid"))


def check_corpus_folder(folder: Path, *, force: bool = False) -> None:
    """See that songs can be written there, before they are ingested.

    Raises:
        StorageError: if they cannot.
    """
    check_new_folder(folder, MIDI_FILES, force=force)


def export_corpus(store: Path, folder: Path, songs: ArtifactRef | None = None) -> str:
    """Write every accepted song as `<song id>.mid`, in the key that it was written in.

    Bars are of 4/4 and begin at tick 0; tracks are named by role; tempo, key signature (of the
    relative major) and sections as markers are in the file, which the readers of this program
    take back as the same song.

    Args:
        store: that holds the artifact.
        folder: for the files; MIDI files that it holds are replaced as a whole.
        songs: artifact of `ingest_songs`; by default that of the newest run.

    Returns:
        How many were written, and how many were left out for which reason.

    Raises:
        StorageError: if the store has no such artifact, it is damaged, or nothing can be written.
    """
    ref = songs or open_store(store).latest(INGEST)
    accepted = read_accepted_songs(ref.folder)
    with replacing_files(folder, MIDI_FILES) as aside:
        for song in accepted:
            semitones = -song.key_shift
            written = transpose(song, semitones)
            write_midi(written, aside / f"{song.song_id}.mid", key=key_name(semitones))
    table = tables.read_songs(ref.folder / "songs.parquet").filter(~pl.col("accepted"))
    left_out = dict(Counter(table["reason"].to_list()).most_common())
    return (
        f"Wrote {len(accepted)} songs to {folder}: aligned MIDI files (4/4, bar 1 at tick 0) with "
        f"tempo, key and sections; {_left_out(left_out)}"
    )


def _left_out(counts: Mapping[str, int]) -> str:
    if not counts:
        return "none was left out."
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    return f"left out: {sum(counts.values())} ({reasons})."
