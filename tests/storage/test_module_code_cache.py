"""A source file is parsed once, and again whenever what it says may have changed."""

import json
import os
import sys

import pytest

from storage import module_code_cache
from storage.module_code import RelativeImportError, module_code
from storage.module_code_cache import cached_module_code
from tests.homeless import without_home

ROOTS = ("pkg",)
TEXT = "from pkg import helper\nimport pkg.lazy as lazy\nNAME = '\\ud800'\n"


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Write a file's text, and give what it says and how often a file was parsed for it."""
    parsed = []
    monkeypatch.setenv("PHRASE_LDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        module_code_cache, "module_code", lambda *of: parsed.append(of) or module_code(*of)
    )

    def reading(text: str, roots=ROOTS):
        (tmp_path / "module.py").write_text(text)
        parsed.clear()
        return cached_module_code(tmp_path / "module.py", roots), len(parsed)

    reading.folder = tmp_path / "cache" / "code"
    return reading


def kept(read):
    (file,) = read.folder.iterdir()
    return file


def test_the_second_reading_parses_nothing_and_says_the_same(read):
    assert read(TEXT) == (module_code(TEXT, ROOTS), 1)
    assert read(TEXT) == (module_code(TEXT, ROOTS), 0)
    assert read('"""Nothing."""\n')[0].empty
    assert read('"""Nothing."""\n') == (module_code('"""Nothing."""', ROOTS), 0)


def test_a_changed_file_other_roots_another_parser_and_another_python_are_parsed_again(
    read, monkeypatch
):
    read(TEXT)
    assert read(TEXT + "OTHER = 1\n") == (module_code(TEXT + "OTHER = 1\n", ROOTS), 1)
    assert read(TEXT + "OTHER = 1\n", ("another",))[0].imports == ()
    assert read(TEXT)[1] == 1
    assert read(TEXT)[1] == 0
    assert len(list(read.folder.iterdir())) == 1  # one for the file, however often it changes
    for change in (
        (sys, "version_info", (3, 99, 0)),
        (module_code_cache.parser, "__file__", os.__file__),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(*change)
            module_code_cache._parser_digest.cache_clear()
            assert read(TEXT)[1] == 1
        module_code_cache._parser_digest.cache_clear()
        assert read(TEXT)[1] == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"source": 1}', "cut", "imports"])
def test_a_damaged_file_of_the_cache_is_parsed_again_and_mended(read, damage):
    read(TEXT)
    whole = kept(read).read_text()
    spoilt = {
        "cut": whole[: len(whole) // 2],
        "imports": json.dumps(json.loads(whole) | {"imports": [3]}),
    }
    kept(read).write_text(spoilt.get(damage, damage))
    assert read(TEXT) == (module_code(TEXT, ROOTS), 1)
    assert kept(read).read_text() == whole


def test_a_cache_that_cannot_be_written_costs_time_alone(read):
    read.folder.parent.mkdir()
    read.folder.write_text("a file in the way")
    assert read(TEXT) == (module_code(TEXT, ROOTS), 1)
    assert read(TEXT) == (module_code(TEXT, ROOTS), 1)


def test_a_user_without_a_home_has_no_cache(read, monkeypatch):
    monkeypatch.delenv("PHRASE_LDM_CACHE")
    without_home(monkeypatch)
    assert read(TEXT) == (module_code(TEXT, ROOTS), 1)
    assert read(TEXT) == (module_code(TEXT, ROOTS), 1)


def test_a_folder_whose_name_is_no_text_is_no_matter(read, tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "module.py").write_text(TEXT)
    assert cached_module_code(folder / "module.py", ROOTS) == module_code(TEXT, ROOTS)
    assert kept(read).exists()


def test_what_cannot_be_parsed_is_refused_each_time(read):
    for _ in range(2):
        with pytest.raises(SyntaxError):
            read("def")
        with pytest.raises(RelativeImportError):
            read("from . import other")
    assert not read.folder.exists()
