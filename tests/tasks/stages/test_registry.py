"""Stages are found by walking their folder: a new one is one file (docs/extending.md)."""

import json
import pkgutil
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tasks.stages
from storage.artifacts import ArtifactRef
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import EmptyConfig
from tasks.stages.registry import STAGE_NAMES, STAGES, find_stages, in_order

ROOT = Path(__file__).resolve().parents[3]
USE = """
import json, sys
from pathlib import Path
import tasks
from storage import tables
from storage.artifacts import ArtifactStore
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import Session
from tasks.engine.tracking import Tracking
from tasks.launch import check_refresh
from tasks.stages.compose_corpus import corpus_stage
from tasks.stages.count_pitches import pitches_stage
from tasks.stages.ingest_songs import ingest_stage
from tasks.stages.registry import STAGE_NAMES
from tasks.settings.presets import load_preset

root = Path(sys.argv[1])
track = Tracking(root, enabled=False).tracker_of_stage
session = Session(ArtifactStore(root), RuntimeConfig(), track)
runner = PlainRunner(session)
config = load_preset("smoke")
corpus = runner.run(corpus_stage(config))
songs = runner.run(ingest_stage(config, corpus=corpus))
found = runner.run(pitches_stage(songs))
notes = tables.read_notes(songs.folder / "notes.parquet")
print(json.dumps({
    "tasks": tasks.__file__,
    "names": STAGE_NAMES,
    "refresh": check_refresh(["count_pitches"]),
    "counts": json.loads((found.folder / "pitches.json").read_text()),
    "notes": notes.height,
    "meta": session.store.manifest(found).meta,
}))
"""


def test_a_stage_is_named_as_the_module_that_defines_it():
    defined = {
        module.name: import_module(f"tasks.stages.{module.name}").STAGE.name
        for module in pkgutil.iter_modules(tasks.stages.__path__)
        if hasattr(import_module(f"tasks.stages.{module.name}"), "STAGE")
    }
    assert len(defined) == len(STAGES)
    assert all(module == name for module, name in defined.items())


def test_each_stage_comes_after_those_it_reads():
    for place, kind in enumerate(STAGES):
        assert set(kind.reads) <= set(STAGE_NAMES[:place])


@pytest.mark.slow
def test_the_recipe_of_a_stage_holds(tmp_path):
    page = (ROOT / "docs" / "extending.md").read_text()
    section = page.split("## A stage\n")[1].split("\n## ")[0]
    (source,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for name in ("tasks", "phrase_models", "storage"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tasks" / "stages" / "count_pitches.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path / "store")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["tasks"].startswith(str(tmp_path))
    assert set(seen["names"]) - set(STAGE_NAMES) == {"count_pitches"}
    assert seen["refresh"] == ["count_pitches"]
    assert sum(seen["counts"]) == seen["notes"] == seen["meta"]["num_notes"] > 0
    assert seen["counts"][0] > seen["counts"][1]  # all songs are in C major or A minor


def test_a_stage_of_another_name_than_its_module_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "some_stages"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("NUMBER = 1\n")
    head = "from tasks.engine.stage_kind import StageKind\n"
    (package / "second.py").write_text(f"{head}STAGE = StageKind('second', print, ('third',))\n")
    (package / "third.py").write_text(f"{head}STAGE = StageKind('third', print)\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = find_stages(import_module("some_stages"))
    assert [kind.name for kind in found] == ["third", "second"]
    (package / "fourth.py").write_text(f"{head}STAGE = StageKind('4', print)\n")
    with pytest.raises(ValueError, match="fourth defines a stage of another name, 4"):
        find_stages(import_module("some_stages"))


def test_a_stage_that_reads_what_there_is_not_is_refused():
    with pytest.raises(ValueError, match="stage a reads b, and there is no such stage"):
        in_order([StageKind("a", print, reads=("b",))])


def body(context):
    return {}


def test_a_definition_becomes_a_stage_with_what_it_says():
    kind = StageKind("b", body, reads=("a",), experiment="songs", trains=True, version=3)
    ref = ArtifactRef("a", "k" * 64, "d" * 64, Path("a"))
    stage = kind.configured(EmptyConfig(), {"first": ref}, external_inputs={"data": "abc"})
    assert (stage.name, stage.body, stage.inputs) == ("b", body, {"first": ref})
    assert (stage.version, stage.tracked, stage.needs_device) == (3, True, True)
    assert (stage.code, stage.external_inputs) == ((), {"data": "abc"})
    assert not StageKind("b", body).configured(EmptyConfig(), {}).tracked
    other = ArtifactRef("c", "k" * 64, "d" * 64, Path("c"))
    with pytest.raises(ValueError, match="stage b does not say that it reads c"):
        kind.configured(EmptyConfig(), {"first": other})


def test_further_arguments_are_those_of_the_body():
    def with_folder(context, folder):
        return {"context": context, "folder": folder}

    kind = StageKind("b", with_folder, code=("tasks.stages.rows",))
    stage = kind.configured(EmptyConfig(), {}, more_code=("tasks.errors",), folder="here")
    assert stage.body("the context") == {"context": "the context", "folder": "here"}
    assert stage.code == ("tasks.stages.rows", "tasks.errors")
