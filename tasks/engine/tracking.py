"""What is tracked of stages, runs, sweeps and reports.

Runs are flat, one per tracked stage and one per execution of a pipeline: MLflow draws no curves of
nested runs. All of it goes into a journal on disk, from which it is sent every few seconds: a
server that is away delays nothing and loses nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.fingerprint import digest_json
from storage.locks import hold_lock, lock_if_free
from storage.manifest import read_manifest
from storage.opening import open_store
from tasks.engine.experiment_pages import GLANCE
from tasks.engine.mlflow_sender import (
    EXPERIMENTS,
    JournalSender,
    check_mlflow,
    find_stage_runs,
    named_uri,
    open_client,
)
from tasks.engine.registration import TIME_TAG, Registration
from tasks.engine.tracker import NullTracker, Tracker
from tasks.engine.tracking_journal import Journal, RunPlan, waiting_journals

if TYPE_CHECKING:
    from tasks.engine.stage import Stage
    from tasks.settings.pipeline import PipelineConfig

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
RETRY_SECONDS = 30.0
"""Between attempts while MLflow does not answer."""
PIPELINE_TAG = "pipeline_key"
"""Digest of the keys of all stages of a pipeline."""
REPORT_EXPERIMENT = f"{EXPERIMENTS}/reports"
PIPELINE_EXPERIMENT = f"{EXPERIMENTS}/pipeline"


class MlflowTracker:
    """One MLflow run under way; what cannot be sent waits on disk.

    A run that goes on after a kill is sent its numbers again from the start; what it has already
    is left out, so that its curves have neither gaps nor repeated points.
    """

    def __init__(self, sender: JournalSender) -> None:
        self.sender, self.journal = sender, sender.journal
        self.flushed = time.monotonic()
        self.failing = False

    @property
    def run_id(self) -> str | None:
        """Of this run, once MLflow has it."""
        return self.sender.run_id or None

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers down; they are sent every few seconds."""
        now = int(time.time() * 1000)
        points = [(name, float(value), now, step) for name, value in values.items()]
        self.journal.append("metrics", points)
        if time.monotonic() - self.flushed >= (RETRY_SECONDS if self.failing else FLUSH_SECONDS):
            self.flush()

    def flush(self) -> bool:
        """Send what is new, if MLflow takes it now; returns whether it did."""
        try:
            self.sender.send()
        except Exception as error:
            if not self.failing:
                logger.warning("MLflow takes nothing now; all is kept, and sent later.")
            logger.debug("MLflow: %s", error)
            self.failing = True
        else:
            self.failing = False
        self.flushed = time.monotonic()
        return not self.failing

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
        self.journal.append("file", (self.journal.keep(path), folder))

    def log_folder(self, path: Path, folder: str) -> None:
        """Copy a folder to the run's artifacts."""
        self.journal.append("folder", (self.journal.keep(path), folder))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters; of a run that goes on those that it has are left."""
        self.journal.append("params", {name: str(value) for name, value in params.items()})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags of the run."""
        self.journal.append("tags", dict(tags))

    def link_stages(self, keys: Mapping[str, str]) -> None:
        """Tags that lead to the runs of stages, {stage: key}."""
        self.journal.append("stages", dict(keys))

    def log_execution(self, execution: Execution) -> None:
        """Figures, pictures and songs of a whole pipeline."""
        sections = {GLANCE: execution.glance, **execution.meta}
        for name, numbers in sections.items():
            section = {
                f"{name}/{key}": float(value)
                for key, value in numbers.items()
                if isinstance(value, int | float)
            }
            self.log_metrics(0, section)
        for path, folder in execution.shown:
            if path.is_dir():
                self.log_folder(path, folder or path.name)
            elif path.is_file():
                self.log_file(path, folder)

    def register(self, model: Registration) -> None:
        """Make a model a version in the registry, and the candidate."""
        content = {
            "name": model.name,
            "identity": model.identity,
            "tags": {TIME_TAG: datetime.now(UTC).isoformat(timespec="milliseconds"), **model.tags},
            "settings": None if model.settings is None else dict(model.settings),
            "folder": self.journal.keep_as(model.files, model.texts),
        }
        self.journal.append("model", content)

    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED; what MLflow does not take now waits."""
        self.journal.append("status", status)
        if status == "KILLED" and (self.failing or self.run_id is None):
            return  # a person waits for the end; the next run sends it
        if self.flush():
            self.journal.drop()
        else:
            logger.warning(
                "MLflow does not answer: the figures of %s wait in %s; the next run sends them, "
                "and `phraseldm sync` does.",
                self.sender.plan.name,
                self.journal.folder,
            )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


@dataclass(frozen=True)
class Execution:
    """What came of an execution of a pipeline.

    Attributes:
        keys: of the artifacts, by stage.
        meta: figures of the artifacts, by stage.
        glance: figures that are compared first.
        shown: files and folders to keep with the run, each with its place there or None.
        models: that it trained.
    """

    keys: Mapping[str, str]
    meta: Mapping[str, Mapping[str, Any]]
    glance: Mapping[str, float]
    shown: Sequence[tuple[Path, str | None]] = ()
    models: Sequence[Registration] = ()


@dataclass(frozen=True)
class Sent:
    """What came of sending what waited.

    Attributes:
        sent: runs that MLflow has now.
        left: runs that still wait.
    """

    sent: int
    left: int


@dataclass
class Tracking:
    """Tracking of a store's runs.

    Attributes:
        store: whose journals they are, and whose MLflow where none is named.
        enabled: whether anything is tracked.
        origin: tags that say what started the stages.
    """

    store: Path
    enabled: bool = True
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def waiting(self) -> Path:
        """Folder of the journals."""
        return self.store / "mlflow" / "waiting"

    def check(self) -> None:
        """See to it that an MLflow that is named answers.

        Raises:
            ServiceUnreachable: if it does not.
        """
        if self.enabled:
            check_mlflow(self.store)

    def send_waiting(self) -> Sent:
        """Send what earlier runs could not send, or left when they were killed.

        What a process that works now still writes is left to that process.
        """
        sent = left = 0
        for journal in waiting_journals(self.waiting) if self.enabled else ():
            with lock_if_free(journal.lock) as free:
                if free:
                    done = self._finish(journal)
                    sent, left = sent + done, left + (not done)
        return Sent(sent, left)

    def _finish(self, journal: Journal) -> bool:
        """Send a journal whose writer is gone; whether it was."""
        if not journal.ended:
            remembered = journal.plan.remembered
            journal.mend()
            unfinished = remembered is not None and Path(remembered).exists()
            # The folder of a stage's state is gone once its artifact is committed.
            journal.append("status", "KILLED" if unfinished else "FINISHED")
        try:
            JournalSender(self.store, journal).send()
        except Exception as error:
            logger.warning("MLflow takes nothing of %s yet.", journal.folder)
            logger.debug("MLflow: %s", error)
            return False
        journal.drop()
        return True

    @contextmanager
    def run(self, plan: RunPlan) -> Iterator[MlflowTracker]:
        """A run that ends FINISHED, FAILED where an error passes through, or KILLED by a signal."""
        with self._journal(plan) as journal:
            tracker = MlflowTracker(JournalSender(self.store, journal))
            journal.append("status", "RUNNING")
            try:
                yield tracker
            except BaseException as error:
                tracker.close("FAILED" if isinstance(error, Exception) else "KILLED")
                raise
            tracker.close("FINISHED")

    @contextmanager
    def _journal(self, plan: RunPlan) -> Iterator[Journal]:
        """The journal that a killed process left of the same work, or a new one; locked."""
        for left in waiting_journals(self.waiting):
            if left.plan.goes_on_as(plan):
                with lock_if_free(left.lock) as free:
                    if free:
                        left.mend()
                        yield left
                        return
        journal = Journal.of_name(self.waiting, plan.name)
        with hold_lock(journal.lock, "tracks a run"):
            journal.begin(plan)  # only now is it seen by others
            yield journal

    @contextmanager
    def tracker_of_stage(self, stage: Stage, key: str, state: Path) -> Iterator[Tracker]:
        """The tracker of a stage; a stage that goes on after a kill goes on in its run.

        Args:
            stage: tracked or not.
            key: of its artifact.
            state: its folder that survives a kill.
        """
        if not (self.enabled and stage.tracked):
            yield NullTracker()
            return
        remembered = state.resolve() / "mlflow_run_id"
        plan = RunPlan(
            experiment=f"{EXPERIMENTS}/{stage.experiment}",
            name=f"{stage.name}-{key[:8]}",
            run_id=remembered.read_text(errors="replace").strip() if remembered.exists() else None,
            remembered=str(remembered),
        )
        with self.run(plan) as tracker:
            remembered.touch()
            params = flatten(stage.config.model_dump(mode="json"))
            latent_dim = _latent_dim(self.store, stage, params)
            if latent_dim is not None:
                params["latent_dim"] = latent_dim
            tracker.log_params(params)
            tracker.set_tags(
                {"stage": stage.name, "stage_key": key, **self.origin}
                | {f"input.{name}": ref.digest[:16] for name, ref in stage.inputs.items()}
            )
            tracker.flush()
            yield tracker

    def log_pipeline(self, config: PipelineConfig, execution: Execution) -> None:
        """One run for an execution of a pipeline; one that made nothing new adds none.

        Args:
            config: of the pipeline.
            execution: what came of it.
        """
        if not self.enabled:
            return
        name = f"{config.preset}-latent{config.vae.latent_dim}"
        identity = digest_json(dict(execution.keys))
        plan = RunPlan(PIPELINE_EXPERIMENT, name, once=(PIPELINE_TAG, identity))
        with self.run(plan) as tracker:
            params = flatten(config.model_dump(mode="json"))
            tracker.log_params({**params, "latent_dim": config.vae.latent_dim})
            tags = {f"stage_key.{stage}": key for stage, key in execution.keys.items()}
            tracker.set_tags({PIPELINE_TAG: identity, **tags, **self.origin})
            tracker.link_stages(execution.keys)
            tracker.log_execution(execution)
            for model in execution.models:
                tracker.register(model)


def _latent_dim(store: Path, stage: Stage, params: Mapping[str, Any]) -> int | None:
    """Size of the latents that a stage is about: what people compare its figures by.

    Looked for in its settings, in what it reads, and in the latents that that was made of.
    """
    if params.get("phase") in ("infilling", "autoencoder"):
        return None  # there is no latent yet
    known: list[Mapping[str, Any]] = [params]
    before: set[str] = set()
    for ref in stage.inputs.values():
        manifest = read_manifest(ref.folder, ref.stage)
        if manifest is not None:
            known += [flatten(manifest.config), manifest.meta]
            before |= set(manifest.inputs.values())
    latents = open_store(store).manifests_by_digest(("encode_latents",))
    known += [latents[digest].meta for digest in sorted(before & latents.keys())]
    for values in known:
        for name in ("architecture.latent_dim", "latent_dim"):
            if name in values:
                return int(values[name])
    return None


@dataclass(frozen=True)
class SweptRun:
    """A point of a sweep, as it is tracked.

    Attributes:
        name: its settings in a few words.
        key: of the stage that measured it last.
        config: of the whole pipeline.
        scores: its figures by name.
        execution: what came of it.
    """

    name: str
    key: str
    config: PipelineConfig
    scores: Mapping[str, Any]
    execution: Execution


def log_sweep(store: Path, experiment_name: str, points: Sequence[SweptRun], chart: Path) -> None:
    """One run a point in an experiment of the sweep's own, so that its charts need no filter.

    Args:
        store: whose MLflow it is.
        experiment_name: of the sweep.
        points: of the sweep.
        chart: a picture of all of them, kept with every run.
    """
    for point in points:
        once = ("stage_key", point.key)  # the sweep may have been run before
        with Tracking(store).run(RunPlan(experiment_name, point.name, once=once)) as tracker:
            params = flatten(point.config.model_dump(mode="json"))
            tracker.log_params({"latent_dim": point.config.vae.latent_dim, **params})
            tracker.set_tags({"stage_key": point.key})
            tracker.link_stages(point.execution.keys)
            tracker.log_execution(point.execution)  # first: pages open on a run's first figures
            tracker.log_summary(point.scores)
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
    return named_uri() is not None or (store / "mlflow" / "mlflow.db").exists()


def log_report(store: Path, folder: Path) -> None:
    """Keep a report in MLflow, where the store has one."""
    if not _is_tracked(store):
        return
    with Tracking(store).run(RunPlan(REPORT_EXPERIMENT, "report")) as tracker:
        tracker.log_folder(folder, "report")
