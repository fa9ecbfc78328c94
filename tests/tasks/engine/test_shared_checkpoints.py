"""What of a training under way is published, and that it is whole."""

import threading
from types import SimpleNamespace

import pytest

from phrase_models.training.generations import load_generation, save_generation
from storage.errors import StoreUnreachable
from tasks.engine.runtime import RuntimeConfig, default_runtime
from tasks.engine.shared_checkpoints import share_newest, sharing_checkpoints, snapshot


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    save_generation(folder / "checkpoint", [("model", b"1"), ("progress.json", b"{}")])
    (folder / "metrics.jsonl").write_text("line\n")
    (folder / "spec.json").write_text("of this machine")
    return folder


def context(state, share, seconds=0.02):
    runtime = RuntimeConfig(share_state_every=seconds)
    return SimpleNamespace(stage="train_vae", state=state, share_state=share, runtime=runtime)


def test_a_snapshot_is_the_newest_checkpoint_and_what_goes_on_with_it(state, tmp_path):
    save_generation(state / "checkpoint", [("model", b"2"), ("progress.json", b"{}")])
    assert snapshot(state, tmp_path / "shared")
    names = sorted(
        p.relative_to(tmp_path / "shared").as_posix() for p in (tmp_path / "shared").rglob("*")
    )
    assert names == [
        *("checkpoint", "checkpoint/digests.json", "checkpoint/model"),
        *("checkpoint/progress.json", "metrics.jsonl"),
    ]
    files, complaints = load_generation(tmp_path / "shared" / "checkpoint", ["model"])
    assert (files["model"], complaints) == (b"2", [])
    save_generation(state / "checkpoint", [("model", b"3"), ("progress.json", b"{}")])
    assert (tmp_path / "shared" / "checkpoint" / "model").read_bytes() == b"2"


def test_a_checkpoint_that_is_damaged_or_changes_meanwhile_is_left_out(state, tmp_path):
    (state / "checkpoint" / "model").write_bytes(b"?")
    assert snapshot(state, tmp_path / "a") == ""
    (state / "checkpoint" / "model").unlink()
    assert snapshot(state, tmp_path / "b") == ""
    assert snapshot(tmp_path / "nothing", tmp_path / "c") == ""


def test_each_checkpoint_is_published_once(state):
    seen = []
    asked = context(
        state, lambda folder: seen.append((folder / "checkpoint" / "model").read_bytes())
    )
    last = share_newest(asked, "")
    assert share_newest(asked, last) == last
    save_generation(state / "checkpoint", [("model", b"2"), ("progress.json", b"{}")])
    assert share_newest(asked, last) != last
    assert seen == [b"1", b"2"]
    assert not state.with_name("shared").exists()


def test_they_are_published_while_the_training_works_and_what_fails_is_said(state, caplog):
    calls, done = [], threading.Event()

    def share(folder):
        calls.append(folder)
        if len(calls) == 1:
            raise StoreUnreachable("the store is away")
        done.set()

    with sharing_checkpoints(context(state, share)):
        assert done.wait(10)
    assert "The checkpoint of train_vae is not published: the store is away" in caplog.text
    assert len(calls) == 2


def test_a_store_of_this_machine_alone_gets_nothing(state):
    before = threading.active_count()
    with sharing_checkpoints(context(state, None)):
        assert threading.active_count() == before


@pytest.mark.parametrize("text", ["often", "0", "-1", "nan", "1e9"])
def test_how_often_is_seconds(monkeypatch, text):
    from phrase_models.errors import ConfigurationError

    monkeypatch.setenv("PHRASE_LDM_SHARE_SECONDS", "30")
    assert default_runtime().share_state_every == 30.0
    monkeypatch.setenv("PHRASE_LDM_SHARE_SECONDS", text)
    with pytest.raises(ConfigurationError, match="must be seconds from 1 to 86,400"):
        default_runtime()
