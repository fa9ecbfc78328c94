import struct
import zlib

import numpy as np
import pytest
from matplotlib import image as reader

from phrase_models.gallery.self_similarity import colour_table, self_similarity_png


def pixels_of(png: bytes, tmp_path) -> np.ndarray:
    path = tmp_path / "matrix.png"
    path.write_bytes(png)
    return np.rint(reader.imread(path)[..., :3] * 255).astype(np.uint8)


def test_pixels_are_the_colours_of_the_cells(tmp_path):
    matrix = np.array([[1.0, 0.5, -0.3], [0.5, 1.0, np.nan], [0.0, 2.0, 1.0]])
    table = colour_table()
    expected = table[[[255, 128, 0], [128, 255, 0], [0, 255, 255]]]
    np.testing.assert_array_equal(pixels_of(self_similarity_png(matrix), tmp_path), expected)


def test_lightness_grows_with_similarity():
    lightness = colour_table().astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness) > 0).all()


def test_chunks_are_sound():
    png = self_similarity_png(np.eye(5))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (5, 5)
    assert struct.unpack(">I", png[29:33])[0] == zlib.crc32(png[12:29])
    assert png == self_similarity_png(np.eye(5))


def test_a_long_song_stays_small():
    rng = np.random.default_rng(0)
    assert len(self_similarity_png(rng.random((128, 128)))) < 20_000


@pytest.mark.parametrize("shape", [(0, 0), (2, 3), (4,)])
def test_refuses_what_is_no_matrix(shape):
    with pytest.raises(ValueError, match="square and not empty"):
        self_similarity_png(np.zeros(shape))
