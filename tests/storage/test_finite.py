"""Weights and training figures that are not finite are refused at commit."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from storage.errors import NonFinite, StorageError
from storage.finite import non_finite_tensors

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2]


@pytest.fixture
def commit(store, key):
    """Commit tensors, and meta, as the artifact of a training."""

    def commit_tensors(tensors=None, result=None, **meta):
        work = store.work("train_vae", key)
        if tensors:
            (work.output / "deep").mkdir()
            save_file(tensors, work.output / "deep" / "model.safetensors")
        if result is not None:
            (work.output / "result.json").write_text(json.dumps(result))
        (work.output / "other.txt").write_text("x")
        parts = {"config": {}, "inputs": {}, "code": {}, "version": 1}
        return store.commit("train_vae", key, **parts, meta=meta)

    return commit_tensors


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_found_in_every_kind_of_float(tmp_path, kind, bad):
    sound = torch.linspace(-50000, 50000, 999).to(kind)
    spoilt = sound.clone()
    spoilt[-1] = bad
    path = tmp_path / "model.safetensors"
    tensors = {"a": sound, "b.c": spoilt, "odd": torch.ones(3, dtype=torch.uint8), "z": sound[:0]}
    save_file(tensors | {"int": torch.full((4,), -1)}, path, {"made": "here"})
    assert list(non_finite_tensors(path)) == ["b.c"]


@pytest.mark.parametrize("kind", FLOATS)
def test_the_largest_and_smallest_numbers_are_sound(tmp_path, kind):
    info = torch.finfo(kind)
    extremes = torch.tensor([info.max, info.min, info.tiny, -0.0, 0.0], dtype=torch.float64)
    save_file({"a": extremes.to(kind)}, tmp_path / "model.safetensors")
    assert list(non_finite_tensors(tmp_path / "model.safetensors")) == []


def test_a_planted_nan_is_refused_and_what_was_there_stays(store, key, commit):
    weights = {"weight": torch.ones(3, 4)}
    kept = commit(weights)
    weights["weight"][2, 1] = math.nan
    with pytest.raises(NonFinite) as caught:
        commit(weights)
    assert str(caught.value) == (
        "The result of stage train_vae is not kept: a number in model.safetensors, tensor weight, "
        "is not finite. Try a lower learning rate, a longer warm-up or precision fp32."
    )
    assert store.find("train_vae", key) == kept


@pytest.mark.parametrize("figures", [{"best_score": math.inf}, {"anything": math.nan}])
def test_figures_of_the_training_process_are_finite(store, key, commit, figures):
    with pytest.raises(NonFinite, match=f"{next(iter(figures))} is (inf|nan), not finite"):
        commit(result={"steps": 3, **figures})
    assert store.find("train_vae", key) is None


def test_of_meta_only_what_a_training_chose_by_must_be_defined(store, key, commit):
    with pytest.raises(NonFinite, match="best_score is nan"):
        commit(best_score=math.nan)
    ref = commit(best_score=0.5, mr_official=math.nan, interval=[math.nan, 1.0])
    assert store.manifest(ref).meta == {
        "best_score": 0.5,
        "mr_official": None,
        "interval": [None, 1.0],
    }


def test_a_large_tensor_is_looked_at_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.finite._CHUNK", 10)
    values = np.zeros(25, np.float32)
    for place in (0, 9, 10, 24):
        spoilt = torch.from_numpy(values.copy())
        spoilt[place] = math.nan
        save_file({"a": spoilt}, tmp_path / "model.safetensors")
        assert list(non_finite_tensors(tmp_path / "model.safetensors")) == ["a"]


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 40])
def test_a_file_that_is_not_safetensors_is_named(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"model\.safetensors is not a safetensors file"):
        list(non_finite_tensors(path))
