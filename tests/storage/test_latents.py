"""Latents: mapped without a copy, sliced by song, refused where they do not fit."""

import errno

import numpy as np
import pyarrow as pa
import pytest

from storage import latents as module
from storage.errors import DamagedArtifact, DiskFull, MissingArtifact, NewerSchema, SchemaMismatch
from storage.fingerprint import digest_folder
from storage.latents import read_latents, write_latents

SONGS = [
    {"song_id": "002", "split": "train", "first_row": 0, "num_bars": 2},
    {"song_id": "001", "split": "validation", "first_row": 6, "num_bars": 1},
]


@pytest.fixture
def values():
    return np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)


def write(folder, values, songs=SONGS, **changes):
    settings = {"layout": "role", "slots_per_bar": 3, "vae_digest": "f" * 64}
    write_latents(folder, values, songs, **(settings | changes))


def test_round_trip(tmp_path, values):
    write(tmp_path / "new", values)
    file = read_latents(tmp_path / "new")
    assert file.latents.dtype == np.float32
    np.testing.assert_array_equal(file.latents, values)
    assert (file.layout, file.slots_per_bar, file.latent_dim) == ("role", 3, 4)
    assert file.vae_digest == "f" * 64
    assert file.songs.to_dicts() == SONGS
    np.testing.assert_array_equal(file.song("002"), values[:6].reshape(2, 3, 4))
    np.testing.assert_array_equal(file.song("001"), values[6:].reshape(1, 3, 4))
    with pytest.raises(MissingArtifact, match="no latents of song 003: name one of the 2 songs"):
        file.song("003")


def test_the_end_of_a_bar_is_kept_where_there_is_one(tmp_path, values):
    write(tmp_path / "with", values, bar_end=values[3])
    np.testing.assert_array_equal(read_latents(tmp_path / "with").bar_end, values[3])
    write(tmp_path / "without", values)
    assert read_latents(tmp_path / "without").bar_end is None


def test_mapped_without_a_copy(tmp_path):
    many = np.ones((30_000, 64), dtype=np.float32)
    song = [{"song_id": "1", "split": "train", "first_row": 0, "num_bars": 10_000}]
    write(tmp_path, many, song)
    before = pa.total_allocated_bytes()
    file = read_latents(tmp_path)
    assert pa.total_allocated_bytes() - before < 10_000
    assert not file.latents.flags.owndata
    assert not file.latents.flags.writeable
    assert file.latents.flags.c_contiguous
    assert np.shares_memory(file.song("1"), file.latents)


def test_equal_latents_equal_bytes(tmp_path, values):
    write(tmp_path / "a", values)
    write(tmp_path / "b", np.asfortranarray(values))
    write(tmp_path / "c", values, vae_digest="e" * 64)
    assert digest_folder(tmp_path / "a") == digest_folder(tmp_path / "b")
    assert digest_folder(tmp_path / "a") != digest_folder(tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda v: v.astype(np.float64), "are float64 instead of float32"),
        (lambda v: v.reshape(-1), r"shape \(36,\) instead of"),
        (lambda v: v[:0], r"shape \(0, 4\) instead of"),
        (lambda v: v[:8], "take 9 latent rows .3 a bar., but there are 8"),
        (lambda v: np.where(np.arange(9)[:, None] == 5, np.float32(np.nan), v), "first in row 5"),
    ],
)
def test_latents_that_do_not_fit_are_refused(tmp_path, values, change, complaint):
    with pytest.raises(SchemaMismatch, match=complaint):
        write(tmp_path, change(values))
    assert list(tmp_path.iterdir()) == []


def test_songs_must_not_overlap_or_leave_gaps(tmp_path, values):
    with pytest.raises(SchemaMismatch, match=r"001 starts at latent row 5, but .* end at row 6"):
        write(tmp_path, values, [SONGS[0], SONGS[1] | {"first_row": 5}])


def test_newer_and_foreign_files_are_refused(tmp_path, values, monkeypatch):
    with pytest.raises(MissingArtifact, match="There are no latents"):
        read_latents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(module, "LATENTS_SCHEMA_VERSION", 5)
        write(tmp_path, values)
    with pytest.raises(NewerSchema, match=r"has schema version 5 .* up to 1"):
        read_latents(tmp_path)
    path = tmp_path / "latents.arrow"
    foreign = pa.record_batch({"latent": [1.0]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, foreign.schema) as writer:
        writer.write_batch(foreign)
    with pytest.raises(SchemaMismatch, match="does not hold latents"):
        read_latents(tmp_path)
    path.write_text("not Arrow at all, but long enough to look")
    with pytest.raises(DamagedArtifact, match="is not an Arrow file"):
        read_latents(tmp_path)
    path.write_text("")
    with pytest.raises(DamagedArtifact, match="is not an Arrow file"):
        read_latents(tmp_path)


def test_full_disk_is_one_sentence(tmp_path, values, monkeypatch):
    write(tmp_path, values)
    before = digest_folder(tmp_path)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.pa.ipc, "new_file", full)
    with pytest.raises(DiskFull):
        write(tmp_path, values * 2)
    assert digest_folder(tmp_path) == before
