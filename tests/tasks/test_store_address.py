"""Which store is meant: the option, else the environment of the machine that runs, else `store`."""

import socket
from pathlib import Path

import pytest

from storage.errors import UnusablePath
from storage.locks import read_note
from storage.opening import store_address
from tasks.commands import run_request
from tasks.launch import Request, launch
from tasks.store_address import asked_store

URL = "s3://bucket/team"


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("PHRASE_LDM_CACHE", str(tmp_path))
    monkeypatch.delenv("PHRASE_LDM_STORE", raising=False)
    return tmp_path


def test_what_is_asked_for_goes_before_the_environment(monkeypatch):
    assert asked_store(None) == Path("store")
    monkeypatch.setenv("PHRASE_LDM_STORE", "elsewhere")
    assert asked_store(None) == Path("elsewhere")
    assert asked_store("here") == Path("here")
    monkeypatch.setenv("PHRASE_LDM_STORE", "")
    assert asked_store(None) == Path("store")


def test_a_flow_without_a_store_takes_that_of_its_worker(monkeypatch, machine):
    monkeypatch.setenv("PHRASE_LDM_STORE", URL)
    launched = launch(Request(), orchestrated=True)
    assert launched.store.parent == machine
    assert store_address(launched.store) == URL
    assert launched.flow_parameters()["store"] is None  # the next worker has its own


def test_a_run_of_the_command_line_names_the_url_and_not_this_machines_folder():
    request = run_request("smoke", None, None, asked_store(URL), [], [])
    assert request.store == URL
    assert launch(request, orchestrated=False).store == asked_store(URL)
    assert run_request("smoke", None, None, Path("store"), [], []).store == "store"


def test_a_flow_that_names_no_store_there_can_be_is_refused():
    with pytest.raises(UnusablePath, match="is no address of a store"):
        launch(Request(store="https://a.b/c"), orchestrated=True)


def test_the_lock_of_a_device_has_the_host_in_its_name(machine):
    from storage.artifacts import ArtifactStore
    from tasks.engine.runtime import RuntimeConfig
    from tasks.engine.stage import Session, _devices

    session = Session(ArtifactStore(machine / "store"), RuntimeConfig(), None)
    with _devices(session):
        [path] = (machine / "store" / "locks").glob("device-*")
        assert path.name == f"device-{socket.gethostname()}-cpu.lock"
        assert f" on {socket.gethostname()} since " in path.read_text()
        assert read_note(path) == ""
