"""MLflow, and nothing else in the program knows it.

Runs are flat, one per tracked stage and one per execution of a pipeline: MLflow draws no curves of
nested runs. Metrics are buffered, since a call each costs milliseconds.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.manifest import read_manifest
from tasks.engine.tracker import NullTracker, Tracker

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from tasks.engine.stage import Stage, StageResult, TrackerFactory
    from tasks.settings.pipeline import PipelineConfig

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
MAX_BATCH = 900
"""Metrics in one call; MLflow takes 1000."""
MAX_PARAM_LETTERS = 500
EXPERIMENTS = "phrase-ldm"
"""What the names of all experiments begin with; each stage says its own."""
REPORT_EXPERIMENT = f"{EXPERIMENTS}/reports"
PIPELINE_EXPERIMENT = f"{EXPERIMENTS}/pipeline"
LEFT_OUT_OF_SWEEPS = ("exact_phrase_rate", "f1_iopd")
"""Beginnings of names. MLflow's compare page opens on the metric whose name comes first, which is
f1_op without these; the runs of the scoring stage have them."""


class MlflowTracker:
    """One MLflow run under way.

    A run that goes on after a kill is sent its numbers again from the start; what it has already
    is left out, so that its curves have neither gaps nor repeated points.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client, self._run_id = client, run_id
        self.buffer: list[tuple[str, float, int, int]] = []
        self.flushed = time.monotonic()
        self.last_steps = {
            name: max(point.step for point in client.get_metric_history(run_id, name))
            for name in client.get_run(run_id).data.metrics
        }

    @property
    def run_id(self) -> str:
        """Of this run."""
        return self._run_id

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Buffer numbers; they are sent every few seconds.

        While MLflow cannot be reached they are kept and tried again: no training is lost for it.
        """
        now = int(time.time() * 1000)
        self.buffer += [
            (name, float(value), now, step)
            for name, value in values.items()
            if step > self.last_steps.get(name, -1)
        ]
        if time.monotonic() - self.flushed < FLUSH_SECONDS:
            return
        try:
            self.flush()
        except Exception as error:
            logger.warning("MLflow took no metrics, which are kept to try again: %s", error)
            self.flushed = time.monotonic()

    def flush(self) -> None:
        """Send what is buffered."""
        from mlflow.entities import Metric

        while self.buffer:
            part = self.buffer[:MAX_BATCH]
            self.client.log_batch(self.run_id, metrics=[Metric(*item) for item in part])
            del self.buffer[: len(part)]
        self.flushed = time.monotonic()

    def log_summary(self, meta: Mapping[str, Any]) -> None:
        """Numbers become metrics `final/...`, so that runs can be compared by them."""
        numbers = {
            f"final/{name}": float(value)
            for name, value in meta.items()
            if isinstance(value, int | float)
        }
        self.log_metrics(0, numbers)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Copy a file to the run's artifacts."""
        self.client.log_artifact(self.run_id, str(path), folder)

    def log_folder(self, path: Path, folder: str) -> None:
        """Copy a folder to the run's artifacts."""
        self.client.log_artifacts(self.run_id, str(path), folder)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters that the run does not have yet; MLflow refuses to change one."""
        from mlflow.entities import Param

        known = self.client.get_run(self.run_id).data.params
        new = [
            Param(name, str(value)[:MAX_PARAM_LETTERS])
            for name, value in params.items()
            if name not in known
        ]
        for start in range(0, len(new), 100):
            self.client.log_batch(self.run_id, params=new[start : start + 100])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags of the run."""
        for name, value in tags.items():
            self.client.set_tag(self.run_id, name, value)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def open_client(store: Path) -> MlflowClient:
    """MLflow of a store, or of MLFLOW_TRACKING_URI where that is set."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    folder = store.resolve() / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    return MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db"))


def _experiment(client: MlflowClient, store: Path, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    artifacts = None
    if "MLFLOW_TRACKING_URI" not in os.environ:
        artifacts = (store.resolve() / "mlflow" / "artifacts" / name).as_uri()
    return str(client.create_experiment(name, artifact_location=artifacts))


@contextmanager
def _under_way(tracker: MlflowTracker) -> Iterator[MlflowTracker]:
    """A run that ends FINISHED, FAILED where an error passes through, or KILLED by a signal."""
    client, run_id = tracker.client, tracker.run_id
    client.update_run(run_id, status="RUNNING")
    try:
        yield tracker
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        try:
            tracker.flush()
            client.set_terminated(run_id, status)
        except Exception as second:  # the first error is the one to be told
            logger.warning("MLflow run %s could not be closed as %s: %s", run_id, status, second)
        raise
    tracker.flush()
    client.set_terminated(run_id, "FINISHED")


@contextmanager
def _untracked() -> Iterator[NullTracker]:
    yield NullTracker()


def tracker_factory(
    store: Path, *, enabled: bool, origin: Mapping[str, str] | None = None
) -> TrackerFactory:
    """Makes the tracker of a stage; a stage that goes on after a kill goes on in its run.

    Args:
        store: whose MLflow it is.
        enabled: whether anything is tracked.
        origin: tags that say what started the stages.
    """

    def make(stage: Stage, key: str, state: Path) -> AbstractContextManager[Tracker]:
        if not (enabled and stage.tracked):
            return _untracked()
        client = open_client(store)
        remembered = state / "mlflow_run_id"
        run_id = remembered.read_text(errors="replace").strip() if remembered.exists() else ""
        if not _exists(client, run_id):
            experiment = _experiment(client, store, f"{EXPERIMENTS}/{stage.experiment}")
            run_id = client.create_run(experiment, run_name=f"{stage.name}-{key[:8]}").info.run_id
            remembered.write_text(run_id)
        params = flatten(stage.config.model_dump(mode="json"))
        latent_dim = _latent_dim(stage, params)
        if latent_dim is not None:
            params["latent_dim"] = latent_dim
        tracker = MlflowTracker(client, run_id)
        tracker.log_params(params)
        tracker.set_tags(
            {"stage": stage.name, "stage_key": key, **(origin or {})}
            | {f"input.{name}": ref.digest[:16] for name, ref in stage.inputs.items()}
        )
        return _under_way(tracker)

    return make


def _latent_dim(stage: Stage, params: Mapping[str, Any]) -> int | None:
    """Size of the latents that a stage is about: what people compare its figures by."""
    if params.get("phase") in ("infilling", "autoencoder"):
        return None  # there is no latent yet
    known = [params]
    for ref in stage.inputs.values():
        manifest = read_manifest(ref.folder, ref.stage)
        if manifest is not None:
            known += [flatten(manifest.config), manifest.meta]
    for values in known:
        for name in ("architecture.latent_dim", "latent_dim"):
            if name in values:
                return int(values[name])
    return None


def _exists(client: MlflowClient, run_id: str) -> bool:
    """Whether a remembered run can go on: MLflow's folder may have been cleared meanwhile."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return False
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def find_stage_runs(client: MlflowClient, keys: Mapping[str, str]) -> dict[str, str]:
    """Ids of the runs of tracked stages, whichever execution made them; {stage: key} in."""
    experiments = client.search_experiments(filter_string=f"name LIKE '{EXPERIMENTS}/%'")
    ids = [experiment.experiment_id for experiment in experiments]
    runs: dict[str, str] = {}
    for stage, key in keys.items():
        # The runs of a sweep have the key of a stage too, but are not the stage's.
        condition = f"tags.stage = '{stage}' and tags.stage_key = '{key}'"
        found = client.search_runs(ids, condition, max_results=1) if ids else []  # newest first
        if found:
            runs[stage] = found[0].info.run_id
    return runs


def log_sweep(
    store: Path,
    experiment_name: str,
    configs: Sequence[PipelineConfig],
    rows: Sequence[Mapping[str, Any]],
    chart: Path,
) -> None:
    """One run a point in an experiment of the sweep's own, so that its charts need no filter.

    Args:
        store: whose MLflow it is.
        experiment_name: of the sweep.
        configs: of each point.
        rows: of each point its "name", the "key" of the stage that scored it, and its figures.
        chart: a picture of all of them, kept with every run.
    """
    client = open_client(store)
    experiment = _experiment(client, store, experiment_name)
    for config, row in zip(configs, rows, strict=True):
        key = row["key"]
        if client.search_runs([experiment], f"tags.stage_key = '{key}'", max_results=1):
            continue  # the sweep was run before
        run_id = client.create_run(experiment, run_name=row["name"]).info.run_id
        with _under_way(MlflowTracker(client, run_id)) as tracker:
            params = flatten(config.model_dump(mode="json"))
            tracker.log_params({"latent_dim": config.vae.latent_dim, **params})
            tracker.set_tags({"stage_key": key})
            shown = {k: v for k, v in row.items() if not k.startswith(LEFT_OUT_OF_SWEEPS)}
            numbers = {k: v for k, v in shown.items() if isinstance(v, int | float)}
            tracker.log_metrics(0, numbers)
            tracker.log_file(chart)


def find_runs_of_stages(store: Path, stages: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Ids of the MLflow runs of stages, {key: run id}; (stage, key) in."""
    if not stages or not _is_tracked(store):
        return {}
    client = open_client(store)
    found: dict[str, str] = {}
    for stage, key in stages:
        run_id = find_stage_runs(client, {stage: key}).get(stage)
        if run_id is not None:
            found[key] = run_id
    return found


def _is_tracked(store: Path) -> bool:
    return "MLFLOW_TRACKING_URI" in os.environ or (store / "mlflow" / "mlflow.db").exists()


def log_report(store: Path, folder: Path) -> None:
    """Keep a report in MLflow, where the store has one."""
    if not _is_tracked(store):
        return
    client = open_client(store)
    experiment = _experiment(client, store, REPORT_EXPERIMENT)
    run_id = client.create_run(experiment, run_name="report").info.run_id
    with _under_way(MlflowTracker(client, run_id)) as tracker:
        tracker.log_folder(folder, "report")


def pipeline_tracker(
    store: Path,
    config: PipelineConfig,
    results: Mapping[str, StageResult],
    meta: Mapping[str, Mapping[str, Any]],
    shown: Sequence[Path],
    origin: Mapping[str, str],
) -> str:
    """One run for the whole execution, with the numbers that a person compares.

    Args:
        store: whose MLflow it is.
        config: of the pipeline.
        results: of every stage.
        meta: figures of every stage.
        shown: files and folders of the artifacts to keep with the run.
        origin: tags that say what started it.

    Returns:
        The id of the run.
    """
    client = open_client(store)
    experiment = _experiment(client, store, PIPELINE_EXPERIMENT)
    run_name = f"{config.preset}-latent{config.vae.latent_dim}"
    run_id = client.create_run(experiment, run_name=run_name).info.run_id
    with _under_way(MlflowTracker(client, run_id)) as tracker:
        params = flatten(config.model_dump(mode="json"))
        tracker.log_params({**params, "latent_dim": config.vae.latent_dim})
        keys = {name: result.ref.key for name, result in results.items()}
        tracker.set_tags({f"stage_key.{name}": key for name, key in keys.items()} | dict(origin))
        linked = find_stage_runs(client, keys)
        tracker.set_tags({f"run_id.{name}": linked[name] for name in linked})
        for name, numbers in meta.items():
            section = {
                f"{name}/{key}": float(value)
                for key, value in numbers.items()
                if isinstance(value, int | float)
            }
            tracker.log_metrics(0, section)
        for path in shown:
            if path.is_dir():
                tracker.log_folder(path, path.name)
            else:
                tracker.log_file(path)
    return run_id
