"""MLflow runs: buffered, continued after a kill, linked from the pipeline's run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from storage.artifacts import ArtifactRef, ArtifactStore
from tasks.engine import mlflow_sender, tracking
from tasks.engine.mlflow_sender import JournalSender, find_stage_runs, open_client
from tasks.engine.stage import Stage
from tasks.engine.tracking import Execution, Sent, SweptRun, Tracking, flatten, log_sweep
from tasks.engine.tracking_journal import RunPlan, waiting_journals
from tasks.settings.presets import load_preset

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]


class Architecture(BaseModel):
    model_config = ConfigDict(frozen=True)

    latent_dim: int = 16


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    architecture: Architecture = Architecture()
    rate: float = 0.5


class Rate(BaseModel):
    model_config = ConfigDict(frozen=True)

    rate: float = 0.5


def commit(store: ArtifactStore, stage: str, config: BaseModel, meta: dict) -> ArtifactRef:
    (store.work(stage, "key").output / "file").write_text("x")
    return store.commit(stage, "key", config=config, inputs={}, code={}, version=1, meta=meta)


def training(**changes) -> Stage:
    fields = {
        "name": "train_vae",
        "config": Settings(),
        "inputs": {"tables": ArtifactRef("tables", "k" * 64, "d" * 64, Path("x"))},
        "body": lambda context: {},
        "code": (),
        "experiment": "vae",
    }
    return Stage(**(fields | changes))


@pytest.fixture
def open_tracker(tracked_store, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    origin = {"prefect.flow_run_id": "a flow run"}
    tracked = Tracking(tracked_store.root, origin=origin)

    def open_for(stage=None, key="key1"):
        return tracked.tracker_of_stage(stage or training(), key, state)

    return open_for


def test_flatten_joins_names_with_dots():
    assert flatten({"a": {"b": {"c": 1}}, "d": [2]}) == {"a.b.c": 1, "d": [2]}


def test_a_run_has_its_parameters_tags_points_and_files(
    open_tracker, tracked_store, tmp_path, metric_steps
):
    picture = tmp_path / "curve.png"
    picture.write_bytes(b"png")
    with open_tracker() as tracker:
        for step in range(1200):  # more than MLflow takes in one call
            tracker.log_metrics(step, {"train/loss": 1.0 / (step + 1)})
        tracker.log_file(picture)
        tracker.log_summary({"f1_op": 0.5, "words": "no number", "undefined": None})
    client = open_client(tracked_store.root)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"architecture.latent_dim": "16", "rate": "0.5", "latent_dim": "16"}
    assert (run.data.tags["stage"], run.data.tags["stage_key"]) == ("train_vae", "key1")
    assert run.data.tags["input.tables"] == "d" * 16
    assert run.data.tags["prefect.flow_run_id"] == "a flow run"
    assert client.get_experiment(run.info.experiment_id).name == "phrase-ldm/vae"
    points = metric_steps(client, tracker.run_id, "train/loss")
    assert points == [(step, 1.0 / (step + 1)) for step in range(1200)]
    assert metric_steps(client, tracker.run_id, "final/f1_op") == [(0, 0.5)]
    assert sorted(run.data.metrics) == ["final/f1_op", "train/loss"]
    assert [item.path for item in client.list_artifacts(tracker.run_id)] == ["curve.png"]
    assert (tracked_store.root / "mlflow" / "artifacts").is_dir()


def test_numbers_wait_in_a_buffer(open_tracker, tracked_store, metric_steps, monkeypatch):
    client = open_client(tracked_store.root)
    with open_tracker() as tracker:
        tracker.log_metrics(1, {"loss": 4.0})
        assert metric_steps(client, tracker.run_id, "loss") == []
        monkeypatch.setattr(tracking, "FLUSH_SECONDS", 0.0)
        tracker.log_metrics(2, {"loss": 3.0})
        assert metric_steps(client, tracker.run_id, "loss") == [(1, 4.0), (2, 3.0)]


def test_after_a_kill_the_same_run_goes_on_without_gaps_or_repeats(
    open_tracker, tracked_store, metric_steps
):
    killed = open_tracker()
    first = killed.__enter__()
    first.log_metrics(1, {"loss": 4.0})
    first.flush()
    first.log_metrics(2, {"loss": 3.0})  # buffered, and lost with the process
    client = open_client(tracked_store.root)
    assert client.get_run(first.run_id).info.status == "RUNNING"
    changed = training(config=Settings(rate=0.25))  # MLflow itself would refuse
    with open_tracker(changed) as second:
        for step, loss in ((1, 4.0), (2, 3.0), (3, 2.0)):
            second.log_metrics(step, {"loss": loss})
    assert second.run_id == first.run_id
    assert metric_steps(client, first.run_id, "loss") == [(1, 4.0), (2, 3.0), (3, 2.0)]
    assert client.get_run(first.run_id).info.status == "FINISHED"
    assert client.get_run(first.run_id).data.params["rate"] == "0.5"


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_says_how_it_ended(open_tracker, tracked_store, metric_steps, error, status):
    def fail():
        with open_tracker() as tracker:
            tracker.log_metrics(1, {"loss": 4.0})
            ids.append(tracker.run_id)
            raise error

    ids: list[str] = []
    with pytest.raises(type(error)):
        fail()
    client = open_client(tracked_store.root)
    assert client.get_run(ids[0]).info.status == status
    assert metric_steps(client, ids[0], "loss") == [(1, 4.0)]


def test_a_run_that_was_deleted_is_begun_anew(open_tracker, tracked_store):
    with open_tracker() as first:
        pass
    open_client(tracked_store.root).delete_run(first.run_id)
    with open_tracker() as second:
        pass
    assert second.run_id != first.run_id


def test_numbers_are_kept_while_mlflow_cannot_be_reached(
    open_tracker, tracked_store, metric_steps, monkeypatch
):
    def unreachable(*_, **__):
        raise ConnectionError("no route to MLflow")

    with open_tracker() as tracker:
        monkeypatch.setattr(tracking, "FLUSH_SECONDS", 0.0)
        with monkeypatch.context() as patch:
            patch.setattr(tracker.sender.client, "log_batch", unreachable)
            tracker.log_metrics(1, {"loss": 4.0})
        tracker.log_metrics(2, {"loss": 3.0})
    client = open_client(tracked_store.root)
    assert metric_steps(client, tracker.run_id, "loss") == [(1, 4.0), (2, 3.0)]


def test_untracked_stages_leave_nothing(tracked_store, tmp_path):
    for enabled, stage in ((False, training()), (True, training(experiment=None))):
        track = Tracking(tracked_store.root, enabled=enabled).tracker_of_stage
        with track(stage, "key", tmp_path) as none:
            none.log_metrics(1, {"loss": 1.0})
            none.log_summary({"f1": 1.0})
        assert none.run_id is None
    assert list(tmp_path.glob("mlflow_run_id")) == []


def test_runs_of_stages_are_found_by_their_keys(open_tracker, tracked_store):
    with open_tracker(key="key7") as tracker:
        pass
    client = open_client(tracked_store.root)
    swept = client.create_experiment("phrase-ldm/sweep of something")
    client.set_tag(client.create_run(swept).info.run_id, "stage_key", "key7")
    found = find_stage_runs(client, {"train_vae": "key7", "ingest_songs": "key8"})
    assert found == {"train_vae": tracker.run_id}


def test_a_run_has_the_latent_size_of_the_models_it_is_about(open_tracker, tracked_store):
    vae = commit(tracked_store, "train_vae", Settings(), {})
    latents = commit(tracked_store, "encode_latents", Rate(), {"latent_dim": 16})
    client = open_client(tracked_store.root)
    for name, ref in (("vae", vae), ("latents", latents)):
        stage = training(name="evaluate_songs", config=Rate(), inputs={name: ref})
        with open_tracker(stage) as tracker:
            assert client.get_run(tracker.run_id).data.params == {"rate": "0.5", "latent_dim": "16"}
        (tracked_store.root.parent / "state" / "mlflow_run_id").unlink()
    (tracked_store.work("collect_songs", "key").output / "file").write_text("x")
    songs = tracked_store.commit(
        "collect_songs", "key", config={}, inputs={"latents": latents.digest}, code={}, version=1,
        meta={},
    )  # fmt: skip
    stage = training(name="train_diffusion", config=Rate(), inputs={"dataset": songs})
    with open_tracker(stage) as tracker:  # two steps behind
        assert client.get_run(tracker.run_id).data.params["latent_dim"] == "16"


# ------------------------------------------------------------------ while MLflow is away
@pytest.fixture
def away(monkeypatch):
    """A function that takes MLflow away, and one that brings it back."""

    def refuse(_):
        raise ConnectionError("no route to MLflow")

    def leave():
        monkeypatch.setattr(mlflow_sender, "open_client", refuse)

    def come_back():
        monkeypatch.setattr(mlflow_sender, "open_client", open_client)

    return leave, come_back


def test_what_mlflow_cannot_take_waits_and_is_sent_once(
    open_tracker, tracked_store, tmp_path, metric_steps, away
):
    leave, come_back = away
    picture = tmp_path / "curve.png"
    picture.write_bytes(b"png")
    leave()
    with open_tracker(key="key3") as tracker:
        tracker.log_metrics(1, {"loss": 4.0})
        tracker.log_file(picture)
        tracker.log_summary({"f1_op": 0.5})
    picture.unlink()  # as a work folder is, once its artifact is committed
    assert tracker.run_id is None
    tracking = Tracking(tracked_store.root)
    assert tracking.send_waiting() == Sent(sent=0, left=1)
    come_back()
    assert tracking.send_waiting() == Sent(sent=1, left=0)
    assert tracking.send_waiting() == Sent(sent=0, left=0)
    client = open_client(tracked_store.root)
    run_id = find_stage_runs(client, {"train_vae": "key3"})["train_vae"]
    run = client.get_run(run_id)
    assert (run.info.status, run.data.params["rate"]) == ("FINISHED", "0.5")
    assert metric_steps(client, run_id, "loss") == [(1, 4.0)]
    assert metric_steps(client, run_id, "final/f1_op") == [(0, 0.5)]
    assert [item.path for item in client.list_artifacts(run_id)] == ["curve.png"]
    assert len(client.search_runs([run.info.experiment_id])) == 1


def test_what_was_sent_but_not_noted_down_is_there_once(open_tracker, tracked_store, metric_steps):
    with open_tracker() as tracker:
        journal = tracker.journal
        tracker.log_metrics(1, {"loss": 4.0})
        before = journal.progress()
        tracker.flush()
        # As if the process had been killed between MLflow's answer and the note.
        journal.save_progress(before)
        JournalSender(tracked_store.root, journal).send()
        (journal.folder / "sent.json").unlink()  # or before it noted the run's id
        again = JournalSender(tracked_store.root, journal)
        again.send()
        assert again.run_id == tracker.run_id
    client = open_client(tracked_store.root)
    assert metric_steps(client, tracker.run_id, "loss") == [(1, 4.0)]


KILLED = """
import os, sys
from pathlib import Path
from tasks.engine.tracking import Tracking
from tasks.engine.tracking_journal import RunPlan

store, remembered = Path(sys.argv[1]), Path(sys.argv[2])
remembered.touch()
plan = RunPlan("phrase-ldm/vae", "train_vae-key1", remembered=str(remembered))
with Tracking(store).run(plan) as tracker:
    tracker.log_metrics(1, {"loss": 4.0})
    tracker.flush()
    tracker.log_metrics(2, {"loss": 3.0})
    with (tracker.journal.folder / "events.jsonl").open("a") as file:
        file.write('{"metrics": [["loss", 2.')
    os._exit(9)
"""


def test_the_journal_of_a_killed_process_is_finished_by_the_next(
    open_tracker, tracked_store, tmp_path, metric_steps
):
    remembered = tmp_path / "state" / "mlflow_run_id"
    command = [sys.executable, "-c", KILLED, tracked_store.root, remembered]
    subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    client = open_client(tracked_store.root)
    run_id = remembered.read_text()
    assert metric_steps(client, run_id, "loss") == [(1, 4.0)]
    tracking = Tracking(tracked_store.root)
    assert tracking.send_waiting() == Sent(sent=1, left=0)
    assert client.get_run(run_id).info.status == "KILLED"
    assert metric_steps(client, run_id, "loss") == [(1, 4.0), (2, 3.0)]
    with open_tracker() as tracker:
        for step in (1, 2, 3):
            tracker.log_metrics(step, {"loss": 5.0 - step})
    assert tracker.run_id == run_id
    assert client.get_run(run_id).info.status == "FINISHED"
    assert metric_steps(client, run_id, "loss") == [(1, 4.0), (2, 3.0), (3, 2.0)]


def test_a_killed_stage_goes_on_in_the_journal_that_it_left(
    open_tracker, tracked_store, tmp_path, metric_steps
):
    remembered = tmp_path / "state" / "mlflow_run_id"
    command = [sys.executable, "-c", KILLED, tracked_store.root, remembered]
    subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    with open_tracker() as tracker:
        for step in (1, 2, 3):
            tracker.log_metrics(step, {"loss": 5.0 - step})
    assert tracker.run_id == remembered.read_text()
    client = open_client(tracked_store.root)
    assert metric_steps(client, tracker.run_id, "loss") == [(1, 4.0), (2, 3.0), (3, 2.0)]
    assert waiting_journals(tracked_store.root / "mlflow" / "waiting") == []


def test_a_run_that_is_to_be_there_once_is_there_once(tracked_store):
    plan = RunPlan("phrase-ldm/sweep", "16", once=("stage_key", "key1"))
    for _ in range(2):
        with Tracking(tracked_store.root).run(plan) as tracker:
            tracker.set_tags({"stage_key": "key1"})
    client = open_client(tracked_store.root)
    found = client.get_experiment_by_name("phrase-ldm/sweep")
    assert len(client.search_runs([found.experiment_id])) == 1


def test_a_sweep_opens_on_the_figures_at_a_glance(tracked_store, tmp_path):
    (tmp_path / "chart.svg").write_text("<svg/>")
    execution = Execution({}, {"evaluate_songs": {"mmr": 0.4}}, {"srs_ratio_50": 0.5, "f1_op": 0.9})
    scores = {"exact_phrase_rate": 0.7}
    point = SweptRun("16", "key1", load_preset("smoke"), scores, execution)
    log_sweep(tracked_store.root, "phrase-ldm/a sweep", [point], tmp_path / "chart.svg")
    client = open_client(tracked_store.root)
    found = client.get_experiment_by_name("phrase-ldm/a sweep")
    (run,) = client.search_runs([found.experiment_id])
    # MLflow's compare page opens on the first.
    assert next(iter(run.data.metrics)).startswith("all/")
    assert run.data.metrics == {
        "all/srs_ratio_50": 0.5,
        "all/f1_op": 0.9,
        "evaluate_songs/mmr": 0.4,
        "final/exact_phrase_rate": 0.7,
    }


def test_an_experiment_says_what_it_is_and_has_a_view(open_tracker, tracked_store):
    with open_tracker():
        pass
    client = open_client(tracked_store.root)
    found = client.get_experiment_by_name("phrase-ldm/vae")
    assert (
        f"#/experiments/{found.experiment_id}/runs?viewStateShareKey=phraseldm)"
        in (found.tags["mlflow.note.content"])
    )
    view = json.loads(json.loads(found.tags["mlflow.sharedViewState.phraseldm"])["state"])
    assert view["selectedColumns"][:2] == ["params.`latent_dim`", "metrics.`final/f1_op`"]
    client.set_experiment_tag(found.experiment_id, "mlflow.note.content", "by a person")
    with open_tracker(key="key2"):
        pass
    kept = client.get_experiment(found.experiment_id).tags["mlflow.note.content"]
    assert kept == "by a person"
