"""Where something may be written is known before it is made; what was there is not lost."""

import os
import re
from pathlib import Path

import pytest

from storage.errors import NotWritable, UnusablePath
from storage.paths import (
    FolderKind,
    check_local_path,
    check_new_file,
    check_new_folder,
    replacing_files,
)

PAGES = FolderKind("pages", re.compile(r"index|page/\d\.txt").fullmatch, ("page",))


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    "address", ["s3://bucket/store", "file:///tmp/x", "https://a.b/c", "GS://x"]
)
def test_an_address_is_no_path(address):
    with pytest.raises(UnusablePath, match="is an address, and only files and folders of this"):
        check_local_path(Path(address))


@pytest.mark.parametrize("path", ["a" * 300, "x/" * 3000, "zero\0byte"])
def test_what_the_system_cannot_have_is_no_path(path):
    with pytest.raises(UnusablePath, match="cannot be the path of a file or folder") as error:
        check_local_path(Path(path))
    assert len(str(error.value)) < 200


def test_a_path_may_have_a_colon_or_not_exist(tmp_path):
    for name in ("a:b", "C:", "missing/below/missing", "日本"):
        check_local_path(tmp_path / name)


def test_a_circle_of_links_is_no_path(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UnusablePath, match="symbolic links"):
        check_local_path(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "is a folder: name a file to write"),
        ("old", "exists already: name another file, or replace this one with --force"),
        ("old/below", "is a file, so there is no place for"),
        ("pipe", "is no ordinary file"),
        ("n" * 250, "has 250 bytes, and at most 239 can be written here"),
    ],
)
def test_a_file_that_cannot_be_written_is_found_before(tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "old").write_text("years of work")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    with pytest.raises((NotWritable, UnusablePath), match=words):
        check_new_file(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_a_place_that_is_no_disk_is_found_even_by_the_superuser():
    with pytest.raises(NotWritable):
        check_new_file(Path("/proc/self/new/file"))


def test_a_new_file_with_new_folders_above_leaves_nothing_behind(tmp_path):
    check_new_file(tmp_path / "a" / "b" / "c.mid")
    (tmp_path / "old").write_text("x")
    check_new_file(tmp_path / "old", force=True)
    assert contents(tmp_path) == {"old": "x"}


def test_a_folder_with_files_of_the_kind_is_taken_by_force_alone(tmp_path):
    write(tmp_path, **{"page/1.txt": "old", "mine": "years of work"})
    with pytest.raises(NotWritable, match=r"holds pages already \(page/1.txt\).*--force"):
        check_new_folder(tmp_path, PAGES)
    check_new_folder(tmp_path, PAGES, force=True)
    (tmp_path / "page" / "1.txt").unlink()
    check_new_folder(tmp_path, PAGES)


def test_files_and_folders_in_each_others_place_are_found_before(tmp_path):
    write(tmp_path, **{"a/page": "a file", "c": "a file"})
    (tmp_path / "b" / "index").mkdir(parents=True)
    for name, words in (("a", "page is a file"), ("b", "index is in the way"), ("c", "is a file")):
        with pytest.raises(NotWritable, match=words):
            check_new_folder(tmp_path / name, PAGES, force=True)


def test_old_files_go_as_a_whole_and_others_stay(tmp_path):
    write(tmp_path, **{"index": "old", "page/1.txt": "old", "page/2.txt": "old", "page/me": "mine"})
    with replacing_files(tmp_path, PAGES) as aside:
        write(aside, **{"index": "new", "page/1.txt": "new"})
        assert contents(tmp_path)["page/2.txt"] == "old"
    assert contents(tmp_path) == {"index": "new", "page/1.txt": "new", "page/me": "mine"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_failure_halfway_leaves_the_old_files_or_keeps_what_was_finished(tmp_path, error):
    write(tmp_path / "old", index="old")

    def stop_halfway(folder: Path, files: dict[str, str]) -> None:
        with replacing_files(folder, PAGES) as aside:
            write(aside, **files)
            raise error

    for name, files in {
        "old": {"page/1.txt": "new"},
        "new": {"page/1.txt": "new", "page/2.txt.tmp": "half"},
        "none": {},
    }.items():
        with pytest.raises(error):
            stop_halfway(tmp_path / name, files)
    assert contents(tmp_path) == {"old/index": "old", "new/page/1.txt": "new"}
    assert not (tmp_path / "none").exists()
