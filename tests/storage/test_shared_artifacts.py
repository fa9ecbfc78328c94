"""One store, several machines: each with its own folder, all with the same artifacts."""

import json
import os
from pathlib import Path

import pytest

from storage.artifacts import ArtifactStore
from storage.errors import (
    DamagedArtifact,
    MissingArtifact,
    NewerSchema,
    StoreUnreachable,
)
from storage.fingerprint import digest_json
from storage.leases import Lease
from storage.published import file_name, manifest_name
from storage.shared_artifacts import SharedStore
from tests.object_stores import memory_objects, worker

KEY = digest_json("a key")
FILES = {"tables/songs.parquet": "songs", "model.bin": "weights", "empty": "", "log/run.txt": "1"}
PARTS = {"config": {"grid": 48}, "inputs": {}, "code": {}, "version": 1, "meta": {"f1": 0.5}}


@pytest.fixture
def objects():
    return memory_objects()


@pytest.fixture
def two(tmp_path, objects) -> tuple[SharedStore, SharedStore]:
    return worker(tmp_path / "a", objects), worker(tmp_path / "b", objects)


def write(store: ArtifactStore, files=FILES, stage="ingest", key=KEY) -> None:
    work = store.work(stage, key)
    for name, text in files.items():
        path = work.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def build(store: ArtifactStore, files=FILES, stage="ingest", key=KEY, **parts):
    with store.lock(stage, key):
        write(store, files, stage, key)
        return store.commit(stage, key, **(PARTS | parts))


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_what_one_machine_commits_another_finds_byte_for_byte(two, tmp_path):
    made, found = build(two[0]), two[1].find("ingest", KEY)
    assert (found.stage, found.key, found.digest) == (made.stage, made.key, made.digest)
    assert found.folder == tmp_path / "b" / "artifacts" / "ingest" / KEY[:20]
    assert content(found.folder) == content(made.folder)
    assert two[1].manifest(found) == two[0].manifest(made)
    assert ArtifactStore(tmp_path / "b").find("ingest", KEY) == found  # without the shared store
    assert not list((tmp_path / "b" / "incoming").iterdir())


def test_a_store_of_its_own_gives_the_same_manifest(two, tmp_path):
    alone = build(ArtifactStore(tmp_path / "alone"))
    assert content(build(two[0]).folder) == content(alone.folder)


def test_a_manifest_is_the_last_that_is_written(two, objects, monkeypatch):
    order = []
    upload, create = objects.upload, objects.create
    monkeypatch.setattr(
        objects, "upload", lambda name, path: (order.append(name), upload(name, path))
    )
    monkeypatch.setattr(
        objects, "create", lambda name, *rest: (order.append(name), create(name, *rest))[1]
    )
    build(two[0])
    assert order[-1] == manifest_name("ingest", KEY)
    assert len([name for name in order if name.startswith("artifacts/")]) == 4


def test_files_without_a_manifest_are_no_artifact(two, objects):
    build(two[0])
    objects.delete([manifest_name("ingest", KEY)])
    assert two[1].find("ingest", KEY) is None
    assert two[1].manifests("ingest") == []


def test_a_manifest_without_its_files_is_refused_and_the_file_named(two, objects):
    ref = build(two[0])
    [lost] = [item for item in two[0].manifest(ref).files if item.path == "model.bin"]
    objects.delete([file_name("ingest", KEY, lost.sha256)])
    with pytest.raises(DamagedArtifact, match=r"\(model\.bin\) of stage ingest is missing"):
        two[1].find("ingest", KEY)
    assert not (two[1].root / "artifacts" / "ingest" / KEY[:20]).exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"WEIGHTS", "does not have the digest"),
        (b"short", "has not the 7 bytes"),
        (b"longer!!", "has not"),
    ],
)
def test_a_damaged_file_is_refused_named_and_mended_by_a_refresh(
    two, objects, tmp_path, text, complaint
):
    ref = build(two[0])
    [record] = [item for item in two[0].manifest(ref).files if item.path == "model.bin"]
    name = file_name("ingest", KEY, record.sha256)
    objects.replace(name, text, objects.get(name).version)
    with pytest.raises(DamagedArtifact) as error:
        two[1].find("ingest", KEY)
    said = str(error.value)
    assert f"memory://store/{name} (model.bin)" in said
    assert complaint in said
    assert "--refresh ingest" in said
    two[1].discard("ingest", KEY)
    assert two[1].find("ingest", KEY) is None
    build(two[1])
    assert worker(tmp_path / "c", objects).find("ingest", KEY).digest == ref.digest


def test_a_damaged_manifest_is_refused_and_named(two, objects):
    build(two[0])
    name = manifest_name("ingest", KEY)
    text = objects.get(name).content
    objects.replace(name, text.replace(b"0.5", b"0.6"), objects.get(name).version)
    with pytest.raises(
        DamagedArtifact, match=f"memory://store/{name} of stage ingest is not a man"
    ):
        two[1].find("ingest", KEY)


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out"])
def test_a_manifest_that_names_files_outside_is_refused(two, objects, path):
    from dataclasses import asdict, replace

    from storage.manifest import FileRecord, digest_records
    from storage.sealing import sealed

    manifest = two[0].manifest(build(two[0]))
    files = (FileRecord(path, 1, "0" * 64),)
    bad = replace(manifest, files=files, digest=digest_records(files))
    name = manifest_name("ingest", KEY)
    objects.replace(name, json.dumps(sealed(asdict(bad))).encode(), objects.get(name).version)
    with pytest.raises(DamagedArtifact, match="names a file outside its artifact"):
        two[1].find("ingest", KEY)


def test_a_damaged_copy_on_a_machine_is_taken_again(two, caplog):
    build(two[0])
    found = two[1].find("ingest", KEY)
    (found.folder / "model.bin").write_text("WEIGHTS")
    assert two[1].find("ingest", KEY) == found
    assert (found.folder / "model.bin").read_text() == "weights"
    assert "It is taken from memory://store again" in caplog.text


def test_of_two_that_made_different_ones_the_first_to_publish_counts_on_both(two, objects):
    """The second lost its lease while it worked: it may not mix its files with the first one's."""
    write(two[0], FILES | {"model.bin": "first"})
    write(two[1], FILES | {"model.bin": "second"})
    first = two[0].commit("ingest", KEY, **PARTS)
    second = two[1].commit("ingest", KEY, **PARTS)
    assert second.digest == first.digest
    assert content(second.folder) == content(first.folder)
    assert (second.folder / "model.bin").read_text() == "first"
    assert two[1].published.damage(two[1].manifest(second)) == []


def test_a_result_that_could_not_be_published_is_kept_and_published_later(two, monkeypatch):
    def away(*_):
        raise StoreUnreachable("away")

    with monkeypatch.context() as patch:
        patch.setattr(two[0].published, "create_manifest", away)
        with pytest.raises(StoreUnreachable):
            build(two[0])
    assert two[1].find("ingest", KEY) is None
    kept = two[0].find("ingest", KEY)
    assert kept is not None
    assert two[1].find("ingest", KEY).digest == kept.digest


def test_a_refresh_replaces_what_is_published_on_every_machine(two, caplog):
    build(two[0])
    two[1].find("ingest", KEY)
    two[0].discard("ingest", KEY)
    assert two[0].find("ingest", KEY) is None
    again = build(two[0], FILES | {"model.bin": "anew"})
    found = two[1].find("ingest", KEY)
    assert (found.digest, (found.folder / "model.bin").read_text()) == (again.digest, "anew")
    assert "published another result of stage ingest" in caplog.text


def test_a_refresh_of_what_only_another_machine_has_makes_it_again(two):
    build(two[0])
    two[1].discard("ingest", KEY)
    assert two[1].find("ingest", KEY) is None
    two[1].restore("ingest", KEY)
    assert two[1].find("ingest", KEY) is not None


def test_accepted_code_counts_on_every_machine(two):
    ref, later = build(two[0], code={"m": "1"}), digest_json("later code")
    two[1].find("ingest", KEY)  # has the manifest of before
    parts = {name: PARTS[name] for name in ("config", "inputs", "version")}
    two[0].accept("ingest", later, code={"m": "2"}, why="a comment", **parts)
    found = two[1].find("ingest", later)
    assert found.digest == ref.digest
    assert two[1].manifest(found).acceptance(later).why == "a comment"


def test_manifests_are_of_all_machines_the_newest_first_and_read_once(two, objects, monkeypatch):
    keys = [digest_json(k) for k in range(3)]
    build(two[0], {"x": "0"}, key=keys[0])
    build(two[1], {"x": "1"}, key=keys[1])
    build(ArtifactStore(two[1].root), {"x": "2"}, key=keys[2])  # of before the store was shared
    os.utime(two[1].artifact_folder("ingest", keys[2]) / "manifest.json", (1, 1))
    assert [item.key for item in two[1].manifests("ingest")] == [keys[1], keys[0], keys[2]]
    assert [item.key for item in two[0].manifests("ingest")] == [keys[1], keys[0]]
    monkeypatch.setattr(objects, "get", None)
    assert [item.key for item in two[0].manifests("ingest")] == [keys[1], keys[0]]


def test_what_is_only_known_by_its_manifest_is_fetched_when_it_is_read(two):
    build(two[0])
    [manifest] = two[1].manifests("ingest")
    ref = two[1].ref(manifest)
    assert not ref.folder.exists()
    assert two[1].read_bytes(ref, "model.bin") == b"weights"


def test_the_newest_run_is_of_all_machines(two):
    ref = build(two[0])
    assert two[0].record_run("smoke", {"ingest": ref}, {}).name == "000001-smoke.json"
    assert two[1].record_run("demo", {"ingest": ref}, {}).name == "000002-demo.json"
    assert two[0].latest_run()["name"] == "demo"
    assert two[0].record_run("cpu", {"ingest": ref}, {}).name == "000003-cpu.json"
    assert two[1].latest("ingest").digest == ref.digest
    assert (two[1].latest_run()["number"], two[1].latest_run()["name"]) == (3, "cpu")


def test_a_store_that_is_not_there_or_newer_is_said(tmp_path, objects):
    store = worker(tmp_path / "a", objects)
    with pytest.raises(MissingArtifact, match="There is no store at memory://store: run the pipe"):
        store.check_exists()
    build(store)
    worker(tmp_path / "b", objects).check_exists()
    objects.replace("store.json", b'{"schema_version": 7}', objects.get("store.json").version)
    with pytest.raises(NewerSchema, match=r"version 7 .* up to 1"):
        worker(tmp_path / "c", objects).check_access()


def test_a_state_goes_on_elsewhere_from_where_it_came_furthest(two):
    def state(store) -> dict[str, bytes]:
        with store.lock("train_vae", KEY):
            return content(store.work("train_vae", KEY).state)

    def train(store, step: str, *, shared: bool) -> None:
        with store.lock("train_vae", KEY):
            work = store.work("train_vae", KEY)
            for name in ("checkpoint/model", "metrics"):
                (work.state / name).parent.mkdir(exist_ok=True)
                (work.state / name).write_text(f"{name} {step}")
            if shared:
                store.state_sharer("train_vae", KEY)(work.state)

    train(two[0], "1", shared=True)
    assert state(two[1]) == {"checkpoint/model": b"checkpoint/model 1", "metrics": b"metrics 1"}
    train(two[0], "2", shared=False)
    assert state(two[0])["metrics"] == b"metrics 2"  # it came further than what it published
    train(two[1], "3", shared=True)
    assert state(two[0])["metrics"] == b"metrics 3"
    assert len(two[0].objects.list("states")) == 3  # no file of an earlier one is left
    with two[0].lock("train_vae", KEY):
        two[0].commit("train_vae", KEY, **PARTS)
    assert two[0].objects.list("states") == []


def test_a_damaged_state_is_said_and_left_alone(two, objects, caplog):
    with two[0].lock("train_vae", KEY):
        work = two[0].work("train_vae", KEY)
        (work.state / "metrics").write_text("1")
        two[0].state_sharer("train_vae", KEY)(work.state)
    [file] = [item for item in objects.list("states") if not item.name.endswith("latest.json")]
    objects.replace(file.name, b"2", file.version)
    assert list(two[1].work("train_vae", KEY).state.iterdir()) == []
    assert "is damaged: the work goes on without it" in caplog.text


def test_a_refresh_drops_the_state_that_another_machine_left(two):
    with two[0].lock("train_vae", KEY):
        work = two[0].work("train_vae", KEY)
        (work.state / "metrics").write_text("1")
        two[0].state_sharer("train_vae", KEY)(work.state)
    two[1].discard("train_vae", KEY)
    assert list(two[1].work("train_vae", KEY).state.iterdir()) == []


def test_a_holder_that_was_taken_over_still_ends_with_the_artifact(two, monkeypatch):
    with two[0].lock("ingest", KEY):
        write(two[0])
        monkeypatch.setattr(Lease, "renew", lambda lease: lease.lost.set())
        ref = build(two[1])
        assert two[0].commit("ingest", KEY, **PARTS).digest == ref.digest


def test_files_that_are_cleared_away_while_they_are_published_are_written_again(two, monkeypatch):
    published, create = two[0].published, two[0].published.create_manifest

    def cleared_before(manifest, text):
        published.remove("ingest", KEY)
        return create(manifest, text)

    monkeypatch.setattr(published, "create_manifest", cleared_before)
    ref = build(two[0])
    assert two[1].find("ingest", KEY).digest == ref.digest
