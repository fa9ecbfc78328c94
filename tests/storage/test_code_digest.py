"""The code digest follows first-party imports and ignores what does not run."""

import itertools
import shutil

import pytest

from storage import code_digest as module
from storage.code_digest import WIRING, CodeScope, code_components, code_digest
from storage.errors import UnresolvedCode
from storage.module_code import module_code

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
            before, after = (part.replace("pkg", name) for part in (old, new))
            assert before in text
            (folder / path).write_text(text.replace(before, after, 1))
        for cached in (module._read_module, module._source_path, module._package_folders):
            cached.cache_clear()
        return code_digest([f"{name}.stage"], CodeScope(roots=(name,)))

    digest_after.name = name
    digest_after.folder = folder
    return digest_after


def test_components_are_the_transitive_first_party_modules(package):
    name = package.name
    package()
    found = code_components([f"{name}.stage"], CodeScope(roots=(name,)))
    expected = [".deep.leaf", ".helper", ".lazy", ".named", ".stage"]  # packages say nothing
    assert list(found) == [*(name + suffix for suffix in expected), WIRING]
    assert all(len(digest) == 64 for digest in found.values())
    found = code_components([f"{name}.stage"], CodeScope(roots=("another",)))
    assert found.keys() == {f"{name}.stage", WIRING}


def test_leaves_are_not_entered_but_named_in_the_code_that_imports_them(package):
    name = package.name
    package()
    scope = CodeScope(roots=(name,), leaves=(f"{name}.deep", f"{name}.lazy"))
    before = code_components([f"{name}.stage"], scope)
    assert before.keys() == {f"{name}.helper", f"{name}.stage", WIRING}
    package("deep/leaf.py", "VALUE = 3", "VALUE = 4")
    assert code_components([f"{name}.stage"], scope) == before
    package("stage.py", "import VALUE\n", "import VALUE as OTHER\n")
    assert code_components([f"{name}.stage"], scope) != before


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
        ("deep/leaf.py", "pkg.unused import UNUSED", "pkg.unused import UNUSED, MORE"),
        ("stage.py", "import os\nfrom pkg import helper\n", "from pkg import helper\nimport os\n"),
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
        package("helper.py", "FACTOR = 2", "import pkg.absent\nFACTOR = 2")


def test_nothing_is_imported(package):
    (package.folder / "stage.py").write_text("raise RuntimeError('imported')\n")
    assert len(package()) == 64


def move(package, old: str, new: str) -> None:
    """Move a module, and follow it in all imports."""
    source, target = (package.folder / f"{name.replace('.', '/')}.py" for name in (old, new))
    target.parent.mkdir(exist_ok=True)
    (target.parent / "__init__.py").touch()
    source.rename(target)
    for path in package.folder.rglob("*.py"):
        text = path.read_text().replace(f"{package.name}.{old}", f"{package.name}.{new}")
        path.write_text(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [("deep.leaf", "deep.value"), ("deep.leaf", "room.leaf"), ("named", "room.named")],
)
def test_a_file_may_move_and_be_renamed(package, old, new):
    before = package()
    move(package, old, new)
    assert package() == before
    name = package.name
    found = code_components([f"{name}.stage"], CodeScope(roots=(name,)))
    assert f"{name}.{new}" in found
    assert f"{name}.{old}" not in found


def test_a_name_from_another_module_is_another_program_though_both_are_there(package):
    (package.folder / "helper.py").write_text("def scale(x):\n    return x\n")
    (package.folder / "lazy.py").write_text("def scale(x):\n    return -x\n")
    before = package("stage.py", "from pkg import helper\n", "from pkg.helper import scale\n")
    after = package("stage.py", "from pkg.helper import scale", "from pkg.lazy import scale")
    again = package("stage.py", "    import pkg.lazy\n", "    import pkg.helper\n")
    assert len({before, after, again}) == 3


def test_a_folder_may_be_named_in_place_of_the_path(package, tmp_path):
    name = package.name
    before = package()
    shutil.copytree(tmp_path / name, tmp_path / "copy" / name)
    (tmp_path / "copy" / name / "helper.py").write_text("FACTOR = 9\n")
    scope = CodeScope(roots=(name,), folder=tmp_path / "copy")
    assert code_digest([f"{name}.stage"], scope) != before
    scope = CodeScope(roots=(name,), folder=tmp_path)
    assert code_digest([f"{name}.stage"], scope) == before


def test_our_own_modules_resolve(monkeypatch):
    found = code_components(["storage.tables"])
    assert set(found) == {
        WIRING,
        "storage.errors",
        "storage.fingerprint",
        "storage.manifest",
        "storage.schemas",
        "storage.sealing",
        "storage.tables",
        "storage.writing",
    }


NESTED = """
def f():
    import pkg.a
class C:
    import pkg.b
for _ in ():
    import pkg.c
else:
    import pkg.d
while False:
    import pkg.e
with open("x"):
    import pkg.f
try:
    import pkg.g
except OSError:
    import pkg.h
else:
    import pkg.i
finally:
    import pkg.j
match 1:
    case 1 if True:
        import pkg.k
async def g():
    async with x:
        from pkg import l
if f():
    pass
elif g():
    import pkg.m
"""


@pytest.mark.parametrize("text", [NESTED, NESTED + "x = [__import__('pkg.n') for _ in ()]\n"])
def test_imports_are_found_in_statements_and_expressions_of_every_kind(text):
    found = module_code(text, ("pkg",)).imports
    names = {name for item in found for name in (*item.modules, *item.members)}
    letters = "abcdefghijklmn" if "__import__" in text else "abcdefghijklm"
    assert names == {"pkg", *(f"pkg.{letter}" for letter in letters)}
