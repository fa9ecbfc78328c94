"""What Prefect shows of a stage."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
from PIL import Image

from storage.artifacts import ArtifactRef, ArtifactStore
from storage.fingerprint import digest_json
from storage.opening import working_folder
from tasks.engine import stage_report
from tasks.engine.stage import StageResult


def committed(root, stage, meta, picture=None):
    store, key = ArtifactStore(root), digest_json([stage])
    with store.lock(stage, key):
        work = store.work(stage, key)
        (work.output / "figures.txt").write_text("some")
        if picture is not None:
            (work.output / "log").mkdir()
            Image.fromarray(picture).save(work.output / "log" / "learning_curves.png")
        ref = store.commit(stage, key, version=1, code={}, inputs={}, config={}, meta=meta)
    return store, ref


def reported(root, stage, meta, picture=None, *, cached=False):
    store, ref = committed(root, stage, meta, picture)
    result = StageResult(ref, cached=cached, seconds=12.34)
    return stage_report.stage_report(
        SimpleNamespace(name=stage), result, SimpleNamespace(store=store)
    )


def test_headline_figures_stand_first_and_once(tmp_path):
    meta = {"bridge": 3, "f1_op": 0.98765, "f1_opd": 0.5}
    lines = reported(tmp_path, "score_reconstruction", meta).splitlines()
    assert lines[0] == "## score_reconstruction"
    assert lines[4:6] == ["| f1_op | 0.9877 |", "| f1_opd | 0.5000 |"]
    assert "| seconds | 12.3000 |" in lines
    assert lines[-1] == "| bridge | 3 |"
    assert len([line for line in lines if "f1_op " in line]) == 1


def test_seconds_of_a_stage_that_was_made_before_are_not_told(tmp_path):
    assert "| seconds |" not in reported(tmp_path, "train_vae", {"score": 1}, cached=True)


def test_a_picture_travels_small_inside_the_text(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    text = reported(tmp_path, "train_vae", {}, noise)
    found = re.search(r"!\[learning curves\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", text)
    picture = Image.open(io.BytesIO(base64.b64decode(found[1])))
    assert picture.size == (640, 480)
    assert "![" not in reported(tmp_path / "other", "train_vae", {})


def test_an_artifact_is_named_by_the_place_that_all_readers_know(tmp_path, monkeypatch):
    monkeypatch.setenv("PHRASE_LDM_CACHE", str(tmp_path))
    shared = working_folder("s3://bucket/songs")
    for root, place in (
        (shared, "aaaaaaaaaaaa in s3://bucket/songs"),
        (tmp_path / "store", f"{tmp_path}/store/artifacts/train/aaaa"),
    ):
        ref = ArtifactRef("train", "a" * 64, "d" * 64, root / "artifacts" / "train" / "aaaa")
        assert stage_report._place(ref, root) == place
