"""Why a stage is built again, and what is damaged in a store."""

import os

import pytest

from storage.errors import DamagedArtifact
from storage.explain import explain

PARTS = {
    "config": {"vae": {"latent_dim": 64, "heads": 6}, "layout": "role", "old": None},
    "inputs": {"songs": "a" * 64, "tables": "b" * 64},
    "code": {"phrase_models.vae.model": "c" * 64, "tasks.stages.train_vae": "d" * 64},
    "version": 1,
}


@pytest.fixture
def wanted():
    return {name: dict(part) if isinstance(part, dict) else part for name, part in PARTS.items()}


def test_up_to_date(store, key, build):
    build("train", key, {"a": "x"}, **PARTS)
    assert explain(store, "train", key, **PARTS) == ["up to date"]


def test_what_is_damaged_is_not_called_up_to_date(store, key, build):
    built = build("train", key, {"a": "x"}, **PARTS)
    (built.folder / "a").write_text("y")
    with pytest.raises(DamagedArtifact, match="--refresh train"):
        explain(store, "train", key, **PARTS)


def test_never_built(store, key, build):
    build("another", key, {"a": "x"}, **PARTS)
    assert explain(store, "train", key, **PARTS) == ["never built in this store"]


def test_every_difference_is_named(store, key, build, wanted):
    build("train", key, {"a": "x"}, **PARTS)
    wanted["config"] = {"vae": {"latent_dim": 32, "heads": 6}, "layout": "role", "new": [1, "x"]}
    wanted["inputs"] = {"songs": "e" * 64, "labels": "f" * 64}
    wanted["code"] = {"phrase_models.vae.model": "0" * 64, "storage.tables": "1" * 64}
    wanted["version"] = 3
    assert explain(store, "train", "k" * 64, **wanted) == [
        'config new: not set -> [1,"x"]',
        "config old: null -> not set",
        "config vae.latent_dim: 64 -> 32",
        "input labels is new",
        "input songs: digest aaaaaaaaaaaa -> eeeeeeeeeeee",
        "input tables is no longer read",
        "code module phrase_models.vae.model changed",
        "code module storage.tables is new",
        "code module tasks.stages.train_vae is no longer used",
        "stage version: 1 -> 3",
    ]


def test_compares_with_the_artifact_committed_last(store, build, wanted):
    for number, latent_dim in enumerate((16, 128, 32)):
        wanted["config"] = {"latent_dim": latent_dim}
        ref = build("train", str(number) * 64, {"a": "x"}, **wanted)
        os.utime(ref.folder / "manifest.json", ns=(0, (5, 9, 7)[number]))
    wanted["config"] = {"latent_dim": 64}
    assert explain(store, "train", "k" * 64, **wanted) == ["config latent_dim: 128 -> 64"]


def test_same_parts_under_another_key_and_pending_refresh(store, key, build):
    build("train", key, {"a": "x"}, **PARTS)
    assert explain(store, "train", "k" * 64, **PARTS) == [
        "built last under another key from the same parts"
    ]
    store.discard("train", key)
    assert explain(store, "train", key, **PARTS) == ["a refresh was asked for and is not finished"]
