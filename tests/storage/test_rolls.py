"""Rolls on disk: packed bits in one Arrow file, and what is refused."""

import numpy as np
import pytest

from storage.errors import DamagedArtifact, MissingArtifact, SchemaMismatch
from storage.rolls import read_rolls, write_rolls

SONGS = [
    {"song_id": "a", "split": "train", "first_row": 0, "num_bars": 3, "section_layout": "A3"},
    {"song_id": "b", "split": "validation", "first_row": 3, "num_bars": 2, "section_layout": ""},
]
ROWS = np.random.default_rng(0).integers(0, 256, (5, 12)).astype(np.uint8)


def test_rolls_come_back_with_their_songs_and_what_they_mean(tmp_path):
    write_rolls(tmp_path, ROWS, SONGS, {"config": "{}"})
    file = read_rolls(tmp_path)
    assert (file.rows == ROWS).all()
    assert file.songs.to_dicts() == SONGS
    assert file.description == {"config": "{}"}
    written = (tmp_path / "rolls.arrow").read_bytes()
    write_rolls(tmp_path, ROWS, SONGS, {"config": "{}"})
    assert (tmp_path / "rolls.arrow").read_bytes() == written


def test_nearly_empty_rolls_take_little_room(tmp_path):
    rows = np.zeros((1000, 864), np.uint8)
    songs = [SONGS[0] | {"num_bars": 1000}]
    write_rolls(tmp_path, rows, songs, {})
    assert (tmp_path / "rolls.arrow").stat().st_size < 864_000 / 100


@pytest.mark.parametrize(
    ("rows", "songs", "words"),
    [
        (ROWS.astype(np.int64), SONGS, "int64"),
        (ROWS, SONGS[:1], "take 3 bars, but there are 5"),
        (ROWS, [SONGS[0], SONGS[1] | {"first_row": 4}], "starts at bar 4"),
    ],
)
def test_rolls_that_do_not_fit_are_refused(tmp_path, rows, songs, words):
    with pytest.raises(SchemaMismatch, match=words):
        write_rolls(tmp_path, rows, songs, {})


def test_missing_and_damaged_rolls_are_said(tmp_path):
    with pytest.raises(MissingArtifact, match="There are no rolls at"):
        read_rolls(tmp_path)
    (tmp_path / "rolls.arrow").write_bytes(b"no arrow")
    with pytest.raises(DamagedArtifact, match="is not an Arrow file"):
        read_rolls(tmp_path)
