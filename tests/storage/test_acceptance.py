"""A person may declare a change of code harmless for what is in the store."""

import json
import os
from datetime import UTC, datetime

import pytest

from storage.artifacts import ArtifactStore
from storage.errors import NothingToAccept
from storage.explain import explain
from storage.manifest import MANIFEST_SCHEMA_VERSION
from storage.sealing import SEAL

OLD, NEW, NEWER = "a" * 64, "b" * 64, "c" * 64
PARTS = {
    "config": {"latent_dim": 64, "noise": 0.1, "sizes": (1, 2)},
    "inputs": {"tables": "d" * 64},
    "code": {"phrase_models.vae.model": "0" * 64},
    "version": 1,
}
CHANGED = PARTS | {"code": {"phrase_models.vae.model": "1" * 64}}
TODAY = datetime.now(UTC).date().isoformat()


@pytest.fixture
def old(build):
    return build("train", OLD, {"a": "x"}, **PARTS)


def test_an_accepted_artifact_is_found_under_the_new_key(store, old):
    assert store.find("train", NEW) is None
    assert store.accept("train", NEW, **CHANGED, why="a log text") == old
    fresh = ArtifactStore(store.root)
    assert fresh.find("train", NEW) == fresh.find("train", OLD) == old
    assert fresh.find("train", NEWER) is None
    assert explain(fresh, "train", OLD, **PARTS) == ["up to date"]
    assert explain(fresh, "train", NEW, **CHANGED) == [
        f"up to date (accepted on {TODAY}: a log text)"
    ]


def test_it_is_written_into_the_manifest_and_changes_nothing_else(store, old):
    path = old.folder / "manifest.json"
    before, time = json.loads(path.read_text()), path.stat().st_mtime_ns
    store.accept("train", NEW, **CHANGED, why="")
    after = json.loads(path.read_text())
    said = {"key": NEW, "code": CHANGED["code"], "why": "", "date": TODAY}
    assert after.pop(SEAL) != before.pop(SEAL)
    assert after == before | {"accepted": [said]}
    assert path.stat().st_mtime_ns == time
    assert explain(store, "train", NEW, **CHANGED) == [f"up to date (accepted on {TODAY})"]


def test_accepting_twice_keeps_the_last_word_and_every_key(store, old):
    for key, why in ((NEW, "first"), (NEWER, "second"), (NEW, "third")):
        store.accept("train", key, **CHANGED, why=why)
    accepted = store.manifest(old).accepted
    assert [(item.key, item.why) for item in accepted] == [(NEWER, "second"), (NEW, "third")]


def test_the_newest_with_the_same_parts_is_taken(store, build):
    refs = [build("train", str(number) * 64, {"a": str(number)}, **PARTS) for number in range(3)]
    build("train", "9" * 64, {"a": "9"}, **(PARTS | {"version": 2}))
    for ref, time in zip(refs, (5, 9, 7), strict=True):
        os.utime(ref.folder / "manifest.json", ns=(time, time))
    assert store.accept("train", NEW, **CHANGED, why="") == refs[1]


@pytest.mark.parametrize(
    "change",
    [
        {"config": PARTS["config"] | {"latent_dim": 32}},
        {"inputs": {"tables": "e" * 64}},
        {"inputs": {}},
        {"version": 2},
    ],
)
def test_more_than_code_that_differs_is_refused(store, old, change):
    with pytest.raises(NothingToAccept, match=r"Nothing of stage train .* in its code alone"):
        store.accept("train", NEW, **(CHANGED | change), why="")
    assert store.find("train", NEW) is None
    assert store.manifest(old).accepted == ()


def test_an_empty_store_has_nothing_to_accept(store):
    with pytest.raises(NothingToAccept):
        store.accept("train", NEW, **CHANGED, why="")


def test_a_refresh_rebuilds_what_was_accepted(store, old, build):
    store.accept("train", NEW, **CHANGED, why="")
    store.discard("train", NEW)
    assert store.find("train", NEW) is None
    store.restore("train", NEW)
    assert store.find("train", NEW) == old
    store.discard("train", NEW)
    rebuilt = build("train", NEW, {"a": "y"}, **CHANGED)
    assert store.find("train", NEW) == rebuilt
    assert store.find("train", OLD) == old


def test_manifests_from_before_there_was_acceptance_are_read(store, old):
    path = old.folder / "manifest.json"
    data = json.loads(path.read_text())
    assert data.pop("accepted") == []
    del data[SEAL]
    path.write_text(json.dumps(data | {"schema_version": 1}))
    assert store.find("train", OLD) == old
    store.accept("train", NEW, **CHANGED, why="")
    assert store.find("train", NEW) == old
    assert json.loads(path.read_text())["schema_version"] == MANIFEST_SCHEMA_VERSION
