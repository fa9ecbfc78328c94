"""The code digest follows first-party imports and ignores what does not run."""

import itertools

import pytest

from storage import code_digest as module
from storage.code_digest import code_components, code_digest
from storage.errors import UnresolvedCode

SOURCES = {
    "__init__.py": '"""A package."""\n',
    "stage.py": (
        '"""A stage."""\n'
        "import os\n"
        "from pkg import helper\n"
        "from pkg.deep.leaf import VALUE\n"
        "def run():\n"
        '    """Run."""\n'
        "    import pkg.lazy\n"
        "    return helper.scale(VALUE)\n"
    ),
    "helper.py": "FACTOR = 2\ndef scale(x):\n    return FACTOR * x\n",
    "lazy.py": "import importlib\nOTHER = importlib.import_module('pkg.named')\n",
    "named.py": "NAME = 1\n",
    "unused.py": "UNUSED = 1\n",
    "deep/__init__.py": "",
    "deep/leaf.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from pkg.unused import UNUSED\n"
        "VALUE = 3\n"
        '"""What the value is."""\n'
    ),
}
_numbers = itertools.count()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path, and a function that edits a file and gives the new digest."""
    name = f"pkg{next(_numbers)}"
    folder = tmp_path / name
    for path, text in SOURCES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text.replace("pkg", name))
    monkeypatch.syspath_prepend(tmp_path)

    def digest_after(path: str = "", old: str = "", new: str = "") -> str:
        if path:
            text = (folder / path).read_text()
            assert old.replace("pkg", name) in text
            (folder / path).write_text(text.replace(old.replace("pkg", name), new, 1))
        for cached in (module._read_module, module._source_path, module._package_folders):
            cached.cache_clear()
        return code_digest([f"{name}.stage"], roots=[name])

    digest_after.name = name
    digest_after.folder = folder
    return digest_after


def test_components_are_the_transitive_first_party_modules(package):
    name = package.name
    package()
    found = code_components([f"{name}.stage"], roots=[name])
    expected = ["", ".deep", ".deep.leaf", ".helper", ".lazy", ".named", ".stage"]
    assert list(found) == [name + suffix for suffix in expected]
    assert all(len(digest) == 64 for digest in found.values())
    assert code_components([f"{name}.stage"], roots=["another"]).keys() == {name, f"{name}.stage"}


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("stage.py", "A stage.", "Another docstring."),
        ("stage.py", "    return", "\n\n    # why\n    return"),
        ("stage.py", "helper.scale(VALUE)", "(helper\n        .scale( VALUE ))"),
        ("deep/leaf.py", "What the value is.", "An attribute docstring."),
        ("deep/leaf.py", "VALUE = 3", "VALUE = 0x3"),
        ("helper.py", "def scale(x):\n", "def scale(x):\n    'A new docstring.'\n"),
        ("unused.py", "UNUSED = 1", "UNUSED = 2"),
    ],
)
def test_edits_that_do_not_change_the_digest(package, path, old, new):
    assert package() == package(path, old, new)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("helper.py", "FACTOR = 2", "FACTOR = 3"),
        ("helper.py", "FACTOR = 2", "FACTOR = 2.0"),
        ("helper.py", "FACTOR * x", "FACTOR + x"),
        ("helper.py", "def scale(x)", "def scale(x: int)"),
        ("deep/leaf.py", "VALUE = 3", "VALUE = None"),
        ("lazy.py", "import importlib", "import importlib, os"),
        ("named.py", "NAME = 1", "NAME = 'x'"),
        ("stage.py", "    return", "    'x'.upper()\n    return"),
    ],
)
def test_edits_that_change_the_digest(package, path, old, new):
    assert package() != package(path, old, new)


def test_relative_imports_are_refused(package):
    with pytest.raises(UnresolvedCode, match=r"helper\.py uses a relative import in line 1"):
        package("helper.py", "FACTOR = 2", "from . import deep\nFACTOR = 2")


def test_modules_without_a_file_are_refused(package):
    with pytest.raises(UnresolvedCode, match=f"{package.name}.absent has no source file"):
        package("helper.py", "FACTOR = 2", f"import {package.name}.absent\nFACTOR = 2")


def test_nothing_is_imported(package):
    (package.folder / "stage.py").write_text("raise RuntimeError('imported')\n")
    assert len(package()) == 64


def test_our_own_modules_resolve(monkeypatch):
    found = code_components(["storage.tables"])
    assert set(found) == {
        "storage",
        "storage.errors",
        "storage.fingerprint",
        "storage.manifest",
        "storage.schemas",
        "storage.tables",
        "storage.writing",
    }
