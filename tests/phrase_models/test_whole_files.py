"""Files that are whole or not there, and what is kept of songs beside a generation."""

import json

import numpy as np
import pytest

from phrase_models.phrase_ldm import LatentsCache
from phrase_models.whole_files import read_sealed, write_sealed, write_whole, write_whole_json


def test_what_was_there_stays_if_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


def test_json_is_compact_or_indented(tmp_path):
    plain = {"a": [1, 2.5, None]}
    write_whole_json(tmp_path / "a.json", plain)
    assert (tmp_path / "a.json").read_text() == '{"a":[1,2.5,null]}'
    write_whole_json(tmp_path / "a.json", plain, indent=1)
    assert (tmp_path / "a.json").read_text() == json.dumps(plain, indent=1)


@pytest.mark.parametrize("place", [0, 10, -1])
def test_a_sealed_file_is_itself_or_nothing(tmp_path, place):
    path = tmp_path / "file"
    assert read_sealed(path) is None
    write_sealed(path, b"x" * 40)
    assert read_sealed(path) == b"x" * 40
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert read_sealed(path) is None
    for length in (0, 5, 71):
        path.write_bytes(content[:length])
        assert read_sealed(path) is None


def test_latents_that_were_damaged_are_drawn_again(tmp_path):
    cache, latents = LatentsCache(tmp_path / "state"), np.ones((2, 3, 4), np.float32)
    assert cache.get(0) is None
    cache.put(0, latents)
    assert np.array_equal(cache.get(0), latents)
    [path] = (tmp_path / "state").iterdir()
    content = bytearray(path.read_bytes())
    content[150] ^= 1
    path.write_bytes(content)
    assert cache.get(0) is None
