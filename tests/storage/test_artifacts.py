"""Finding, committing, refreshing and recording artifacts, through crashes and damage."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storage import artifacts, manifest
from storage.artifacts import ArtifactRef, ArtifactStore
from storage.errors import DamagedArtifact, DiskFull, MissingArtifact, NewerSchema, StorageError
from storage.fingerprint import digest_json
from storage.sealing import SEAL, sealed

FILES = {"tables/songs.parquet": "songs", "model.bin": "weights", "log/run.txt": "first"}


def test_commit_then_find(store, key, build):
    assert store.find("ingest", key) is None
    ref = build("ingest", key, FILES, config={"grid": 48}, inputs={"data": "d" * 64}, version=2)
    assert ref.folder == store.root / "artifacts" / "ingest" / key[:20]
    assert store.find("ingest", key) == ref
    assert store.find("ingest", key, verify=False) == ref
    assert (ref.folder / "model.bin").read_text() == "weights"
    found = store.manifest(ref)
    assert (found.stage, found.key, found.version, found.digest) == ("ingest", key, 2, ref.digest)
    assert (found.config, found.inputs) == ({"grid": 48}, {"data": "d" * 64})
    assert [record.path for record in found.files] == [
        "log/run.txt",
        "model.bin",
        "tables/songs.parquet",
    ]
    assert [record.bytes for record in found.files] == [5, 7, 5]
    assert not (store.root / "work" / "ingest" / key[:20]).exists()


def test_manifests_by_digest_takes_the_newest_of_equal_artifacts(store, build):
    first, other = build("a", "1" * 20, FILES), build("b", "2" * 20, {"x": "x"})
    again = build("a", "3" * 20, FILES)
    assert first.digest == again.digest
    os.utime(first.folder / manifest.MANIFEST_NAME, (1, 1))
    found = store.manifests_by_digest(["a", "b"])
    assert {digest: item.key for digest, item in found.items()} == {
        again.digest: "3" * 20,
        other.digest: "2" * 20,
    }
    assert store.manifests_by_digest(["b"]).keys() == {other.digest}


def test_other_keys_and_stages_are_not_found(store, key, build):
    build("ingest", key, FILES)
    assert store.find("ingest", digest_json("another")) is None
    assert store.find("encode", key) is None


def test_ref_round_trip_through_json(store, key, build, tmp_path):
    ref = build("ingest", key, FILES)
    data = json.loads(json.dumps(ref.to_json()))
    assert data["folder"] == f"artifacts/ingest/{key[:20]}"
    assert ArtifactRef.from_json(store, data) == ref
    moved = store.root.rename(tmp_path / "moved")
    assert ArtifactRef.from_json(ArtifactStore(moved), data).folder == (
        moved / "artifacts" / "ingest" / key[:20]
    )


def test_digest_ignores_log_and_meta_and_nothing_else(store, build):
    digests = [
        build("a", "k" * 20, FILES, meta={"f1": 0.5}).digest,
        build("b", "l" * 20, FILES | {"log/run.txt": "second", "log/x/y": ""}).digest,
        build("c", "m" * 20, FILES | {"model.bin": "Weights"}).digest,
        build("d", "n" * 20, FILES | {"logs": "x"}).digest,
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_two_builds_give_identical_bytes(store, key, build):
    first = build("ingest", key, FILES, meta={"b": 1, "a": {3, 2}}).folder / "manifest.json"
    before = first.read_bytes()
    store.discard("ingest", key)
    build("ingest", key, FILES, meta={"a": {2, 3}, "b": 1})
    assert first.read_bytes() == before


def test_undefined_metrics_become_null_in_meta(store, key, build):
    ref = build("ingest", key, FILES, meta={"f1": float("nan"), "rows": [1.5, float("inf")]})
    assert store.manifest(ref).meta == {"f1": None, "rows": [1.5, None]}


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", ".hidden"])
def test_names_that_leave_the_store_are_refused(store, key, name):
    with pytest.raises(ValueError, match="cannot be a file name"):
        store.find(name, key)


# --- crashes ---


def test_killed_between_output_and_manifest(store, key, build, monkeypatch):
    work = store.work("ingest", key)
    (work.output / "half").write_text("x")
    (work.state / "step").write_text("7")
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "write_manifest", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            store.commit("ingest", key, config={}, inputs={}, code={}, version=1, meta={})
    assert store.find("ingest", key) is None
    again = store.work("ingest", key)
    assert list(again.output.iterdir()) == []
    assert (again.state / "step").read_text() == "7"


def test_killed_between_manifest_and_rename(store, key, build, monkeypatch):
    work = store.work("ingest", key)
    (work.output / "a").write_text("x")
    with monkeypatch.context() as patch:
        patch.setattr(
            artifacts, "exchange_folder", lambda *_, **__: (_ for _ in ()).throw(SystemExit)
        )
        with pytest.raises(SystemExit):
            store.commit("ingest", key, config={}, inputs={}, code={}, version=1, meta={})
    assert store.find("ingest", key) is None
    ref = store.commit("ingest", key, config={}, inputs={}, code={}, version=1, meta={})
    assert [record.path for record in store.manifest(ref).files] == ["a"]


def test_folder_without_manifest_counts_as_absent_and_is_replaced(store, key, build):
    folder = store.artifact_folder("ingest", key)
    folder.mkdir(parents=True)
    (folder / "stray").write_text("x")
    assert store.find("ingest", key) is None
    ref = build("ingest", key, FILES)
    assert store.find("ingest", key) == ref
    assert not (folder / "stray").exists()


def test_state_is_dropped_at_commit(store, key, build):
    (store.work("ingest", key).state / "step").write_text("7")
    build("ingest", key, FILES)
    assert list(store.work("ingest", key).state.iterdir()) == []


# --- damage ---


def test_flipped_byte_is_damage(store, key, build):
    ref = build("ingest", key, FILES)
    path = ref.folder / "model.bin"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    assert store.find("ingest", key, verify=False) == ref
    with pytest.raises(DamagedArtifact) as caught:
        store.find("ingest", key)
    message = str(caught.value)
    assert str(path) in message
    assert "stage ingest" in message
    assert "`--refresh ingest`" in message


def test_missing_and_short_files_are_damage_and_extra_files_are_not(store, key, build):
    ref = build("ingest", key, FILES)
    (ref.folder / "extra").write_text("x")
    assert store.find("ingest", key) == ref
    (ref.folder / "model.bin").write_text("weight")
    with pytest.raises(DamagedArtifact, match="has 6 bytes, its manifest says 7"):
        store.find("ingest", key)
    (ref.folder / "model.bin").unlink()
    with pytest.raises(DamagedArtifact, match=r"model\.bin of stage ingest is missing"):
        store.find("ingest", key)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": "x"}', "\udcff"])
def test_unreadable_manifest_is_damage(store, key, build, text):
    path = build("ingest", key, FILES).folder / "manifest.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DamagedArtifact, match=r"manifest\.json of stage ingest is not"):
        store.find("ingest", key)


def test_edited_manifest_is_damage(store, key, build):
    path = build("ingest", key, FILES).folder / "manifest.json"
    data = json.loads(path.read_text())
    del data[SEAL]
    data["files"] = data["files"][:-1]
    path.write_text(json.dumps(sealed(data)))
    with pytest.raises(DamagedArtifact, match="contradicts itself"):
        store.find("ingest", key)


def test_artifact_of_another_key_is_damage(store, key, build):
    ref = build("ingest", key, FILES)
    other = digest_json("another")
    shutil.copytree(ref.folder, store.artifact_folder("ingest", other))
    with pytest.raises(DamagedArtifact, match="belongs to another artifact"):
        store.find("ingest", other)


def test_damaged_artifact_is_replaced_by_a_refresh(store, key, build):
    ref = build("ingest", key, FILES)
    (ref.folder / "model.bin").write_text("damaged")
    store.discard("ingest", key)
    assert store.find("ingest", key) is None
    assert build("ingest", key, FILES) == ref
    assert store.find("ingest", key) == ref


# --- refresh ---


def test_discard_keeps_the_files_until_the_new_ones_are_committed(store, key, build):
    ref = build("ingest", key, FILES)
    (store.work("ingest", key).state / "step").write_text("7")
    store.discard("ingest", key)
    assert store.find("ingest", key) is None
    assert list(store.work("ingest", key).state.iterdir()) == []
    assert (ref.folder / "model.bin").read_text() == "weights"
    assert ArtifactStore(store.root).find("ingest", key) is None
    new = build("ingest", key, FILES | {"model.bin": "newer"})
    assert store.find("ingest", key) == new
    assert new.digest != ref.digest


def test_discard_can_be_taken_back(store, key, build):
    ref = build("ingest", key, FILES)
    store.discard("ingest", key)
    store.restore("ingest", key)
    assert store.find("ingest", key) == ref


def test_discard_of_nothing_drops_the_state(store, key):
    (store.work("ingest", key).state / "step").write_text("7")
    store.discard("ingest", key)
    assert not store.refresh_pending("ingest", key)
    assert list(store.work("ingest", key).state.iterdir()) == []


def test_failed_replacement_puts_the_old_artifact_back(store, key, build, monkeypatch):
    ref = build("ingest", key, FILES)
    rename = Path.rename

    def full_for_output(self, target):
        if self.name == "output":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full_for_output)
    with pytest.raises(DiskFull):
        build("ingest", key, {"model.bin": "newer"})
    assert store.find("ingest", key) == ref


# --- full disk ---


def test_full_disk_at_commit_is_one_sentence_and_loses_nothing(store, key, build, monkeypatch):
    before = build("ingest", digest_json("before"), FILES)
    (store.work("ingest", key).state / "step").write_text("7")

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "write_manifest", full)
        with pytest.raises(DiskFull) as caught:
            store.commit("ingest", key, config={}, inputs={}, code={}, version=1, meta={})
    message = str(caught.value)
    assert "\n" not in message
    assert "free some space" in message
    assert "nothing finished is lost" in message
    assert store.find("ingest", before.key) == before
    assert (store.work("ingest", key).state / "step").read_text() == "7"


def test_commit_without_output_or_with_links_is_refused(store, key, tmp_path):
    parts = {"config": {}, "inputs": {}, "code": {}, "version": 1, "meta": {}}
    with pytest.raises(StorageError, match="has no output"):
        store.commit("ingest", key, **parts)
    (store.work("ingest", key).output / "link").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="is a link"):
        store.commit("ingest", key, **parts)


# --- schema versions ---


def test_newer_store_is_refused_with_both_numbers(store, key, build):
    build("ingest", key, FILES)
    path = store.root / "store.json"
    assert json.loads(path.read_text()) == {"schema_version": 1}
    path.write_text('{"schema_version": 7}')
    with pytest.raises(NewerSchema, match=r"schema version 7 and this program knows.*up to 1"):
        ArtifactStore(store.root)


def test_newer_manifest_is_refused(store, key, build):
    path = build("ingest", key, FILES).folder / "manifest.json"
    path.write_text('{"schema_version": 9, "shape": "unknown"}')
    with pytest.raises(NewerSchema, match=r"manifest at .* has schema version 9"):
        store.find("ingest", key)


def test_root_that_is_not_a_store(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(StorageError, match="is a file"):
        ArtifactStore(file)
    (tmp_path / "store.json").write_text("[]")
    with pytest.raises(StorageError, match="is not a store's description"):
        ArtifactStore(tmp_path)


def test_looking_makes_no_folder(store, key):
    store.find("ingest", key)
    with pytest.raises(MissingArtifact):
        store.latest_run()
    assert not store.root.exists()


# --- runs ---


def test_latest_is_of_the_newest_run(store, build):
    first = build("ingest", "a" * 64, FILES)
    second = build("ingest", "b" * 64, FILES | {"model.bin": "x"})
    model = build("train", "c" * 64, FILES)
    path = store.record_run("first", {"ingest": first, "train": model}, {"preset": "demo"})
    assert path.name == "000001-first.json"
    for _ in range(10):
        path = store.record_run("a sweep/2", {"ingest": second}, {})
    assert path.name == "000011-a-sweep-2.json"
    assert store.latest("ingest") == second
    assert store.latest_run()["number"] == 11
    assert store.latest_run()["name"] == "a sweep/2"
    with pytest.raises(MissingArtifact, match=r"\(a sweep/2\) has no stage train, only ingest"):
        store.latest("train")
    shutil.rmtree(second.folder)
    with pytest.raises(MissingArtifact, match="is gone"):
        store.latest("ingest")
    with pytest.raises(MissingArtifact, match="no longer at"):
        store.manifest(second)


def test_no_run_yet(store):
    with pytest.raises(MissingArtifact, match="No run is recorded"):
        store.latest("train")


def test_unreadable_and_newer_run_records(store):
    path = store.record_run("demo", {}, {})
    path.write_text('{"schema_version": 9}')
    with pytest.raises(NewerSchema, match="schema version 9"):
        store.latest_run()
    path.write_text("x")
    with pytest.raises(StorageError, match="is not a run record"):
        store.latest_run()


# --- locks ---


BUILD_ONCE = """
import sys, time
from pathlib import Path
from storage.artifacts import ArtifactStore

store, key = ArtifactStore(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
with store.lock("train", key):
    if store.find("train", key) is not None:
        print("reused")
    else:
        work = store.work("train", key)
        time.sleep(0.3)
        (work.output / "model.bin").write_text("weights")
        store.commit("train", key, config={}, inputs={}, code={}, version=1, meta={})
        print("built")
"""


def test_two_processes_build_an_artifact_once(store, key):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD_ONCE, str(store.root), key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    outcomes = sorted(worker.communicate(timeout=60)[0] for worker in workers)
    assert outcomes == ["built\n", "reused\n"]


def test_a_child_that_inherits_the_lock_keeps_it(store, key):
    program = "import sys; print('up', flush=True); sys.stdin.read()"
    with store.lock("train", key) as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            pass_fds=[descriptor],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout.readline() == "up\n"
    assert not _lock_is_free(store, key)
    child.communicate()
    assert child.returncode == 0
    assert _lock_is_free(store, key)


def _lock_is_free(store: ArtifactStore, key: str) -> bool:
    with (store.root / "locks" / f"train-{key[:20]}.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_records_name_every_file_below_the_folder(tmp_path):
    (tmp_path / "manifest.json").write_text("not recorded")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "manifest.json").write_text("recorded")
    assert [record.path for record in manifest.record_files(tmp_path)] == ["deep/manifest.json"]
