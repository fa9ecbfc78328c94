"""The rules of the tree, held by tests."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import flows
import phrase_models
import storage
import tasks

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (flows, tasks, phrase_models, storage)


def test_import_contracts_hold():
    script = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_under_test_are_those_of_this_checkout(package):
    assert Path(package.__file__).parent.parent == ROOT


def test_no_python_file_is_over_500_lines():
    long = {}
    for folder in ("flows", "tasks", "phrase_models", "storage", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            count = len(path.read_text().splitlines())
            if count > 500:
                long[str(path.relative_to(ROOT))] = count
    assert long == {}


def test_package_files_say_what_lives_there_and_nothing_else():
    for name in ("flows", "tasks", "phrase_models", "storage"):
        for path in (ROOT / name).rglob("__init__.py"):
            text = path.read_text().strip()
            assert text.startswith('"""'), path
            assert text.endswith('"""'), path
            assert text.count('"""') == 2, path


def test_tests_are_no_packages():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_code_map_is_that_of_the_code():
    """Made anew by `python docs/make_code_map.py`; no sentence of it breaks off."""
    spec = importlib.util.spec_from_file_location("make_code_map", ROOT / "docs/make_code_map.py")
    assert spec
    assert spec.loader
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.MAP.read_text(encoding="utf-8") == maker.code_map()
    rows = re.findall(r"^\| `(.+?)` \| (.*) \|$", maker.code_map(), re.MULTILINE)
    broken = [
        name
        for name, sentence in rows
        if len(sentence) < 10
        or sentence[-1] in ",(:"
        or sentence.count("(") != sentence.count(")")
        or sentence.count("`") % 2
    ]
    assert broken == []


def test_the_readme_is_a_front_page():
    assert len((ROOT / "README.md").read_bytes()) <= 9_000


HELP = """
import sys
from flows.start import main
sys.argv = ["phraseldm", "--help"]
try:
    main()
except SystemExit:
    print("imported:", *(name for name in sys.modules if "." not in name))
"""


def test_help_imports_nothing_heavy():
    result = subprocess.run(
        [sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown, _, imported = result.stdout.partition("imported: ")
    assert "Run the pipeline" in shown
    assert "typer" in imported.split()
    heavy = {"torch", "transformers", "prefect", "mlflow", "polars", "pyarrow", "scipy", "numpy"}
    assert heavy & {*imported.split()} == set()


def test_the_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        re.split(r"[=\[]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[<>=]", item)[0].lower() for item in wanted}
    assert names - pinned == set()
