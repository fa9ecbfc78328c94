"""Looking through stores and removing from them, while others work."""

import os
import threading
from datetime import timedelta

import pytest

from storage import inventory as inventory_module
from storage.artifacts import ArtifactStore
from storage.errors import StorageError
from storage.fingerprint import digest_json
from storage.inventory import newest_run_keys, open_inventory, read_pins, write_pins
from storage.published import file_name, manifest_name
from tests.object_stores import memory_objects, worker

KEYS = [digest_json(["key", k]) for k in range(4)]


def commit(store: ArtifactStore, key: str, stage: str = "train", inputs=None):
    with store.lock(stage, key):
        work = store.work(stage, key)
        (work.output / "model.bin").write_text(key)
        return store.commit(stage, key, config={}, inputs=inputs or {}, code={}, version=1, meta={})


@pytest.fixture(params=["folder", "shared"])
def any_store(request, tmp_path) -> ArtifactStore:
    if request.param == "folder":
        return ArtifactStore(tmp_path / "store")
    return worker(tmp_path / "a", memory_objects())


def named(store, key):
    [item] = [item for item in open_inventory(store).artifacts() if item.manifest.key == key]
    return item


def test_all_artifacts_are_there_with_size_and_time(any_store):
    for key in KEYS:
        commit(any_store, key)
    found = open_inventory(any_store).artifacts()
    assert {item.manifest.key for item in found} == {*KEYS}
    assert {item.bytes for item in found} == {64}
    assert {item.place for item in found} == {("train", key[:20]) for key in KEYS}


def test_what_is_being_made_and_what_it_reads_is_in_use(any_store):
    commit(any_store, KEYS[0])
    assert open_inventory(any_store).in_use(certain=False).places == {}
    with any_store.lock("train", KEYS[0], ["d1", "d2"]):
        used = open_inventory(any_store).in_use(certain=True)
        assert used.places.keys() == {("train", KEYS[0][:20])}
        assert used.reads == {"d1", "d2"}
        assert not open_inventory(any_store).remove(named(any_store, KEYS[0]))
    assert any_store.find("train", KEYS[0]) is not None


def test_what_is_removed_is_gone_and_can_be_made_again(any_store, tmp_path):
    ref = commit(any_store, KEYS[0])
    commit(any_store, KEYS[1])
    assert open_inventory(any_store).remove(named(any_store, KEYS[0]))
    assert [item.manifest.key for item in open_inventory(any_store).artifacts()] == [KEYS[1]]
    assert commit(any_store, KEYS[0]).digest == ref.digest
    assert any_store.find("train", KEYS[0]) is not None


def test_damage_is_found_and_named(any_store):
    ref = commit(any_store, KEYS[0])
    item = named(any_store, KEYS[0])
    assert open_inventory(any_store).damage(item) == []
    if isinstance(any_store, inventory_module.SharedStore):
        objects, sha256 = any_store.objects, item.manifest.files[0].sha256
        name = file_name("train", KEYS[0], sha256)
        objects.replace(name, b"x" * 64, objects.get(name).version)
    else:
        (ref.folder / "model.bin").write_text("x" * 64)
    [complaint] = open_inventory(any_store).damage(item)
    assert "does not have the digest its manifest says" in complaint


def test_a_manifest_that_cannot_be_read_is_told(any_store):
    ref = commit(any_store, KEYS[0])
    if isinstance(any_store, inventory_module.SharedStore):
        objects, name = any_store.objects, manifest_name("train", KEYS[0])
        objects.replace(name, b"{", objects.get(name).version)
    else:
        (ref.folder / "manifest.json").write_text("{")
    told: list[str] = []
    assert open_inventory(any_store).artifacts(told) == []
    assert len(told) == 1
    assert "is not a manifest" in told[0]


def test_pins_are_lines_of_a_key_and_words(any_store):
    inventory = open_inventory(any_store)
    assert read_pins(inventory) == {}
    commit(any_store, KEYS[0])
    write_pins(inventory, {KEYS[0]: "champion of phrase-vae", KEYS[1]: "pinned"})
    write_pins(inventory, {**read_pins(inventory), KEYS[2]: "for the paper"})
    more = inventory.read_file("pins") + f"\n{KEYS[3]}\n".encode()
    inventory.write_file("pins", more)
    assert read_pins(open_inventory(any_store)) == {
        KEYS[0]: "champion of phrase-vae",
        KEYS[1]: "pinned",
        KEYS[2]: "for the paper",
        KEYS[3]: "pinned",
    }


def test_the_newest_run_is_known_by_its_keys(any_store):
    assert newest_run_keys(any_store) == []
    any_store.record_run("smoke", {"train": commit(any_store, KEYS[0])}, {})
    any_store.record_run("smoke", {"train": commit(any_store, KEYS[1])}, {})
    assert newest_run_keys(any_store) == [KEYS[1]]


def test_copies_go_only_where_they_are_published(tmp_path):
    store = worker(tmp_path / "a", memory_objects())
    commit(store, KEYS[0])
    commit(ArtifactStore(tmp_path / "a"), KEYS[1])  # not published
    copies = open_inventory(store, working_store=True)
    there = copies.artifacts()
    assert [copies.remove(item) for item in there] == [
        item.manifest.key == KEYS[0] for item in there
    ]
    assert {item.manifest.key for item in copies.artifacts()} == {KEYS[1]}
    assert store.find("train", KEYS[0]) is not None  # fetched again
    with pytest.raises(StorageError, match="no shared store: leave out --cache"):
        open_inventory(ArtifactStore(tmp_path / "b"), working_store=True)


def test_files_of_publishers_that_were_cut_off_go_after_a_day(tmp_path, monkeypatch):
    objects = memory_objects()
    store = worker(tmp_path / "a", objects)
    commit(store, KEYS[0])
    left = f"artifacts/train/{KEYS[1][:20]}/{'0' * 64}"
    objects.create(left, b"four")
    inventory = open_inventory(store)
    assert inventory.leftovers() == []  # it may still be on its way
    monkeypatch.setattr(inventory_module, "LEFTOVER_AGE", timedelta(0))
    with store.leases.hold(f"train/{KEYS[1][:20]}", "builds stage train"):
        assert inventory.leftovers() == []
    assert inventory.leftovers() == [(left, 4)]
    inventory.remove_leftovers()
    assert objects.get(left) is None
    assert store.published.damage(store.manifest(store.find("train", KEYS[0]))) == []


def test_states_of_what_is_finished_go_and_others_stay(tmp_path):
    store = worker(tmp_path / "a", memory_objects())
    commit(store, KEYS[0])
    for key in KEYS[:2]:
        work = store.work("train", key)
        (work.state / "metrics").write_text("1")
        store.state_sharer("train", key)(work.state)
    inventory = open_inventory(store)
    assert {name.split("/")[2] for name, _ in inventory.leftovers()} == {KEYS[0][:20]}
    inventory.remove_leftovers()
    assert {item.name.split("/")[2] for item in store.objects.list("states")} == {KEYS[1][:20]}


def test_the_local_lock_of_a_dead_process_is_in_nobodys_use(tmp_path):
    store = ArtifactStore(tmp_path)
    child = os.fork()
    if child == 0:
        with store.lock("train", KEYS[0], ["d"]):
            os._exit(9)
    os.waitpid(child, 0)
    assert store.lock_path("train", KEYS[0]).exists()
    assert open_inventory(store).in_use(certain=False).places == {}


def test_clearing_while_others_publish_leaves_no_manifest_without_its_files(tmp_path, monkeypatch):
    """The same few artifacts are made and removed over and over, by threads that know no rest."""
    objects = memory_objects()
    monkeypatch.setattr(inventory_module, "LEFTOVER_AGE", timedelta(0))
    clearing = open_inventory(worker(tmp_path / "c", objects))
    faults, ended = [], threading.Event()

    def make(name):
        store = worker(tmp_path / name, objects)
        try:
            for number in range(24):
                commit(store, KEYS[number % 2])
                store.published.manifest("train", KEYS[number % 2])
        except Exception as error:
            faults.append(error)

    def clear():
        while not ended.is_set():
            for artifact in clearing.artifacts():
                clearing.remove(artifact)
            clearing.remove_leftovers()

    makers = [threading.Thread(target=make, args=(name,)) for name in "ab"]
    clearer = threading.Thread(target=clear)
    for thread in (*makers, clearer):
        thread.start()
    for thread in makers:
        thread.join(60)
    ended.set()
    clearer.join(60)
    assert faults == []
    for artifact in clearing.artifacts():
        assert clearing.damage(artifact) == []
