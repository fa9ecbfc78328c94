"""Atomic replacement, and the sentence about a full disk."""

import errno
import sqlite3

import pytest

from storage.errors import DiskFull, NotWritable
from storage.writing import make_folder, replacing, translate_disk_errors, write_json


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_every_way_of_saying_full(tmp_path, error):
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    with (
        pytest.raises(DiskFull, match=f"The disk is full while writing {inner}:") as caught,
        translate_disk_errors(outer),
        translate_disk_errors(inner),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_other_errors_pass(tmp_path):
    for error in (ValueError("x"), OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()):
        with pytest.raises(type(error)), translate_disk_errors(tmp_path):
            raise error


def test_forbidden_folder_is_named(tmp_path):
    error = PermissionError(errno.EACCES, "Permission denied", "/there/x")
    with (
        pytest.raises(NotWritable, match="/there/x may not be written"),
        translate_disk_errors(tmp_path),
    ):
        raise error


def test_failed_write_leaves_the_old_content_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write_half():
        with replacing(path) as aside:
            aside.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_sorted_and_replaced_whole(tmp_path):
    path = tmp_path / "new" / "file.json"
    write_json(path, {"b": 1, "a": "ü"})
    assert path.read_text() == '{\n  "a": "ü",\n  "b": 1\n}\n'
    write_json(path, [])
    assert path.read_text() == "[]\n"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_in_the_way_is_said_in_one_sentence(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "inside"):
        with pytest.raises(NotWritable, match=r"cannot be made a folder: a file is in the way"):
            make_folder(place)
    in_the_way = pytest.raises(NotWritable, match=r"is a folder: name a file to write\.")
    with in_the_way, replacing(tmp_path) as aside:
        aside.touch()
    no_folder = pytest.raises(NotWritable, match="cannot be made a folder")
    with no_folder, replacing(file / "x.mid") as aside:
        aside.touch()
