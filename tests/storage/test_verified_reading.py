"""Numbers are read from artifacts by one door, which compares what it reads with the manifest."""

import json

import pytest

from storage.artifacts import ArtifactStore
from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.sealing import SEAL, sealed, unsealed

FILES = {"scores.json": '{"f1": 0.25}', "weights.bin": "x" * 1000}


@pytest.fixture
def scored(store, build, key):
    return build("score", key, FILES)


def manifest_of(ref):
    return json.loads((ref.folder / "manifest.json").read_text())


def write_manifest(ref, data):
    (ref.folder / "manifest.json").write_text(json.dumps(data))


def test_a_file_is_read_as_it_was_committed(store, scored):
    assert store.read_json(scored, "scores.json") == {"f1": 0.25}
    assert store.read_bytes(scored, "weights.bin") == b"x" * 1000
    assert store.has_file(scored, "scores.json")
    assert not store.has_file(scored, "other.json")
    with pytest.raises(MissingArtifact, match=r"stage score in .* has no other\.json"):
        store.read_bytes(scored, "other.json")


def test_a_changed_digit_is_refused_and_other_files_are_not_looked_at(store, scored):
    (scored.folder / "weights.bin").write_text("y" * 1000)
    assert store.read_json(scored, "scores.json") == {"f1": 0.25}
    (scored.folder / "scores.json").write_text('{"f1": 0.35}')
    with pytest.raises(DamagedArtifact, match=r"scores\.json of stage score does not have the dig"):
        store.read_json(scored, "scores.json")
    (scored.folder / "scores.json").unlink()
    with pytest.raises(DamagedArtifact, match=r"scores\.json of stage score is missing"):
        store.read_json(scored, "scores.json")


@pytest.mark.parametrize("name", ["meta", "config", "inputs", "code", "version", "stage", SEAL])
def test_a_manifest_whose_text_was_changed_is_refused(store, scored, key, name):
    data = manifest_of(scored)
    data[name] = {"num_songs": 9} if isinstance(data[name], dict) else "other"
    write_manifest(scored, data)
    with pytest.raises(DamagedArtifact, match="is not a manifest, or a damaged one"):
        store.find("score", key)


def test_a_manifest_without_its_digest_is_refused_unless_it_is_from_before_there_were_any(
    store, scored, key
):
    data = manifest_of(scored)
    del data[SEAL]
    write_manifest(scored, data)
    with pytest.raises(DamagedArtifact):
        store.find("score", key)
    write_manifest(scored, {**data, "schema_version": 2})
    assert store.find("score", key) == scored
    # One digit of the version does not take the digest off.
    write_manifest(scored, {**sealed(data), "schema_version": 2})
    with pytest.raises(DamagedArtifact):
        store.find("score", key)


def test_a_changed_run_record_is_refused(store, scored):
    path = store.record_run("demo", {"score": scored}, {"seconds": 1.5})
    assert store.latest_run()["extra"] == {"seconds": 1.5}
    path.write_text(path.read_text().replace("1.5", "9.5"))
    with pytest.raises(StorageError, match="is not a run record, or a damaged one"):
        store.latest_run()
    record = json.loads(path.read_text()) | {"schema_version": 1}
    del record[SEAL]  # as earlier versions wrote it
    path.write_text(json.dumps(record))
    assert store.latest_run()["extra"] == {"seconds": 9.5}


def test_whoever_only_reads_makes_no_store(tmp_path):
    for name in ("nowhere", "plain"):
        root = tmp_path / name
        if name == "plain":
            root.mkdir()
        with pytest.raises(MissingArtifact, match=f"There is no store at {root}: run the pipel"):
            ArtifactStore.existing(root)
    assert [path.name for path in tmp_path.rglob("*")] == ["plain"]


def test_a_sealed_value_comes_back_and_a_seal_of_another_does_not():
    plain = {"a": [1, 2.5, None], "b": {"c": "é"}}
    assert unsealed(json.loads(json.dumps(sealed(plain))), required=True) == plain
    with pytest.raises(ValueError, match="not what was sealed"):
        unsealed({**plain, SEAL: sealed({})[SEAL]}, required=False)
