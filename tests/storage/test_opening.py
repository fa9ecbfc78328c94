"""Stores by address: folders, file://, and s3:// with a working store on this machine."""

import json
from pathlib import Path

import pytest

from storage.artifacts import ArtifactStore
from storage.errors import MissingArtifact, StorageError, UnusablePath
from storage.opening import (
    existing_store,
    open_store,
    shared_store,
    store_address,
    working_folder,
)
from storage.paths import cache_folder
from storage.shared_artifacts import SharedStore
from tests.homeless import without_home


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PHRASE_LDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return tmp_path / "cache"


def test_a_path_is_itself_and_makes_nothing(tmp_path, cache):
    for address in ("store", "a/b", str(tmp_path / "store"), "C:", "s3"):
        assert working_folder(address) == Path(address)
        assert store_address(Path(address)) == address
    assert type(open_store(tmp_path / "store")) is ArtifactStore
    assert not cache.exists()
    with pytest.raises(MissingArtifact, match="There is no store at"):
        existing_store(tmp_path / "store")
    with pytest.raises(StorageError, match="is a folder and no shared store"):
        shared_store(tmp_path / "store")


@pytest.mark.parametrize(
    "address", ["file:///a/b%20c", "FILE:///a/b%20c", "file://localhost/a/b%20c"]
)
def test_a_file_url_is_its_path(address):
    assert working_folder(address) == Path("/a/b c")


def test_a_bucket_has_one_working_store_that_remembers_it(cache):
    root = working_folder("s3://bucket/team/songs/")
    assert root.parent == cache
    assert root.name.startswith("bucket-team-songs-")
    assert working_folder("S3://bucket/team//songs") == root
    assert store_address(root) == "s3://bucket/team/songs"
    store = open_store(root)
    assert isinstance(store, SharedStore)
    assert (store.root, store.objects.url) == (root, "s3://bucket/team/songs")
    assert working_folder(str(root)) == root  # by its path it is the same store


def test_another_prefix_endpoint_or_machine_is_another_working_store(cache, monkeypatch, tmp_path):
    addresses = ("s3://bucket", "s3://bucket/a-b", "s3://bucket/a/b", "s3://other/a/b")
    roots = {working_folder(address) for address in addresses}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    roots |= {working_folder(address) for address in addresses}
    monkeypatch.setenv("PHRASE_LDM_CACHE", str(tmp_path / "another machine"))
    roots.add(working_folder("s3://bucket"))
    owners = {json.loads((root / "shared.json").read_text())["working_store"] for root in roots}
    assert (len(roots), len(owners)) == (9, 9)


@pytest.mark.parametrize(
    "address",
    ["gs://bucket/x", "https://a.b/c", "s3://", "s3:/bucket/x", "s3://b", "s3://bucket/../x",
     "s3://bucket:9000/x", "s3://[bucket/x", "file://host/a", "memory://x"],
)  # fmt: skip
def test_other_addresses_are_refused(address, cache):
    with pytest.raises(UnusablePath):
        working_folder(address)
    assert not cache.exists()


@pytest.mark.parametrize(
    "address",
    ["s3://planted:word@bucket/x", "s3://bucket/x?secret=planted", "s3://bucket/x#planted"],
)
def test_an_address_with_something_private_in_it_is_refused_and_not_repeated(address):
    with pytest.raises(UnusablePath, match="give the credentials as AWS_ACCESS_KEY_ID") as error:
        working_folder(address)
    assert "planted" not in str(error.value)


def test_a_working_store_that_does_not_know_its_store_is_said():
    root = working_folder("s3://bucket/x")
    (root / "shared.json").write_text("{")
    with pytest.raises(StorageError, match="does not say which store it belongs to"):
        open_store(root)


def test_the_cache_is_the_users_where_none_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("PHRASE_LDM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "phraseldm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "phraseldm"


def test_a_user_without_a_home_is_asked_to_name_a_cache(monkeypatch):
    monkeypatch.delenv("PHRASE_LDM_CACHE")
    without_home(monkeypatch)
    with pytest.raises(UnusablePath, match=r"no home folder .* name a folder in PHRASE_LDM_CACHE"):
        working_folder("s3://bucket/x")
