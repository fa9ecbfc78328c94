"""MLflow, which is known here and in the registry of models alone: a journal becomes a run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.locks import hold_lock
from tasks.engine.experiment_pages import NOTE_TAG, page_tags
from tasks.engine.services import HTTP, MLFLOW_URI, no_mlflow, server_answers
from tasks.engine.tracking_journal import Journal, Progress

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

logger = logging.getLogger(__name__)

MAX_BATCH = 900
"""Metrics in one call; MLflow takes 1000."""
MAX_PARAM_LETTERS = 500
EXPERIMENTS = "phrase-ldm"
"""What the names of all experiments begin with; each stage says its own."""
JOURNAL_TAG = "phraseldm.journal"
REFUSED = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"})
"""Errors of MLflow that trying again does not mend."""
DATABASE = "mlflow.db"
QUIET = ("alembic", "mlflow", "urllib3.connectionpool")
"""Loggers that tell what we tell ourselves."""


def named_uri() -> str | None:
    """The MLflow that the environment names instead of the store's own, if it names one."""
    return os.environ.get(MLFLOW_URI) or None


def open_client(store: Path) -> MlflowClient:
    """MLflow of a store, or of MLFLOW_TRACKING_URI where that is set."""
    defaults = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # What is not taken waits on disk and is sent again: no stage hangs on a server.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow.tracking import MlflowClient

    uri = named_uri()
    if uri is not None:
        return MlflowClient(uri)
    folder = store.resolve() / "mlflow"
    # Two processes that set up one database make a broken one.
    with hold_lock(folder / "setup.lock", "sets up MLflow's database"):
        (folder / DATABASE).touch()  # SQLite alone would keep the group from writing it
        client = MlflowClient(f"sqlite:///{folder}/{DATABASE}")
        client.search_experiments(max_results=1)
    return client


def run_link(run_id: str) -> str:
    """A run as Markdown: a link to its page where a server shows it, else its id."""
    uri = named_uri()
    if uri is None or not uri.startswith(HTTP):
        return run_id
    return f"[{run_id[:8]}]({uri.rstrip('/')}/#/runs/{run_id})"


def check_mlflow(store: Path) -> None:
    """Ask the MLflow that the environment names, if it names one, whether it is there.

    Args:
        store: of the run, in whose folder MLflow is where none is named.

    Raises:
        ServiceUnreachable: if it does not answer within seconds.
    """
    uri = named_uri()
    if uri is None:
        return
    try:
        if uri.startswith(HTTP):
            reached = server_answers(uri)
        else:
            open_client(store).search_experiments(max_results=1)
            reached = True
    except Exception as error:
        logger.debug("MLflow at %s: %s", uri, error)
        reached = False
    if not reached:
        raise no_mlflow(uri)


def experiment_id(client: MlflowClient, store: Path, name: str) -> str:
    """The id of an experiment, which is created if need be; by several processes at once too.

    It gets its description and its view, unless it has a description already.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        artifacts = None
        if named_uri() is None:
            artifacts = (store.resolve() / "mlflow" / "artifacts" / name).as_uri()
        try:
            client.create_experiment(name, artifact_location=artifacts)
        except MlflowException:
            if client.get_experiment_by_name(name) is None:
                raise  # another process was not quicker
        found = client.get_experiment_by_name(name)
    number = str(found.experiment_id)
    if NOTE_TAG not in found.tags:
        for tag, value in page_tags(name, number, int(time.time() * 1000)).items():
            client.set_experiment_tag(number, tag, value)
    return number


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


def _exists(client: MlflowClient, run_id: str | None) -> bool:
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


class JournalSender:
    """Sends a journal to MLflow, going on where it was.

    What was sent but not noted down before a kill is sent again under the same timestamps, of which
    MLflow keeps one.

    Args:
        store: whose journal it is.
        journal: with what is to be sent.
    """

    def __init__(self, store: Path, journal: Journal) -> None:
        self.store, self.journal = store, journal
        self.plan, self.progress = journal.plan, journal.progress()
        self.ended = False

    @property
    def run_id(self) -> str | None:
        """Of the run, once MLflow has it."""
        return self.progress.run_id

    @cached_property
    def client(self) -> MlflowClient:
        """Of MLflow, which may be away when the journal is begun."""
        return open_client(self.store)

    def send(self) -> None:
        """Send what is new.

        Raises:
            Exception: whatever MLflow and its transport raise.
        """
        if self.progress.run_id is None:
            self._begin()
        if self.progress.tracked_before:
            self._send_models_alone()
            return
        metrics: list[tuple[str, float, int, int]] = []
        offset = self.progress.offset
        for kind, content, end in self.journal.events(self.progress.offset):
            if kind == "metrics":
                metrics += [tuple(point) for point in content]
                offset = end
                if len(metrics) >= MAX_BATCH:
                    self._send_metrics(metrics, offset)
                    metrics = []
                continue
            self._send_metrics(metrics, offset)
            metrics = []
            self._send_event(kind, content)
            offset = end
            self._note(offset)
        self._send_metrics(metrics, offset)

    def _send_models_alone(self) -> None:
        for kind, content, end in self.journal.events(self.progress.offset):
            if kind == "model":
                self._send_event(kind, content)
            self._note(end)
        self.ended = self.journal.ended

    def _begin(self) -> None:
        """Find the run, or create it."""
        plan = self.plan
        experiment = experiment_id(self.client, self.store, plan.experiment)
        before = self._find(experiment, *plan.once) if plan.once is not None else None
        if before is not None and self._journal_of(before) != self.journal.name:
            self.progress = Progress(before, tracked_before=True)
            self.journal.save_progress(self.progress)
            return
        run_id = plan.run_id if _exists(self.client, plan.run_id) else None
        run_id = run_id or self._find(experiment, JOURNAL_TAG, self.journal.name)
        if run_id is None:
            tags = {JOURNAL_TAG: self.journal.name}
            made = self.client.create_run(experiment, run_name=plan.name, tags=tags)
            run_id = str(made.info.run_id)
        if plan.remembered is not None and Path(plan.remembered).parent.is_dir():
            Path(plan.remembered).write_text(run_id)
        self.progress = Progress(run_id, 0, self._last_steps(run_id))
        self.journal.save_progress(self.progress)

    def _find(self, experiment: str, tag: str, value: str) -> str | None:
        found = self.client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _journal_of(self, run_id: str) -> str | None:
        return self.client.get_run(run_id).data.tags.get(JOURNAL_TAG)

    def _last_steps(self, run_id: str) -> dict[str, int]:
        return {
            name: max(point.step for point in self.client.get_metric_history(run_id, name))
            for name in self.client.get_run(run_id).data.metrics
        }

    def _send_metrics(self, points: Sequence[tuple[str, float, int, int]], offset: int) -> None:
        """Send points (name, value, milliseconds, step) that the run does not have."""
        from mlflow.entities import Metric

        last = self.progress.last_steps or {}
        new = []
        for name, value, milliseconds, step in points:
            if step > last.get(name, -1):
                new.append(Metric(name, value, milliseconds, step))
                last[name] = step
        for start in range(0, len(new), MAX_BATCH):
            self.client.log_batch(self.run_id, metrics=new[start : start + MAX_BATCH])
        self.progress.last_steps = last
        if offset != self.progress.offset:
            self._note(offset)

    def _note(self, offset: int) -> None:
        self.progress.offset = offset
        self.journal.save_progress(self.progress)

    def _send_event(self, kind: str, content: Any) -> None:
        from mlflow.exceptions import MlflowException

        try:
            getattr(self, f"_send_{kind}")(content)
        except MlflowException as error:
            if error.error_code not in REFUSED:
                raise
            logger.warning("MLflow refused %s of %s: %s", kind, self.plan.name, error)

    def _send_params(self, params: Mapping[str, str]) -> None:
        """Parameters that the run does not have yet; MLflow refuses to change one."""
        from mlflow.entities import Param

        known = self.client.get_run(self.run_id).data.params
        new = [
            Param(name, value[:MAX_PARAM_LETTERS])
            for name, value in params.items()
            if name not in known
        ]
        for start in range(0, len(new), 100):
            self.client.log_batch(self.run_id, params=new[start : start + 100])

    def _send_tags(self, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self.client.set_tag(self.run_id, name, value)

    def _send_stages(self, keys: Mapping[str, str]) -> None:
        """Tags that lead to the runs of stages, {stage: key}."""
        linked = find_stage_runs(self.client, keys)
        self._send_tags({f"run_id.{name}": linked[name] for name in linked})

    def _send_file(self, content: tuple[str, str | None]) -> None:
        path, folder = content
        self.client.log_artifact(self.run_id, str(self.journal.folder / path), folder)

    def _send_folder(self, content: tuple[str, str]) -> None:
        path, folder = content
        self.client.log_artifacts(self.run_id, str(self.journal.folder / path), folder)

    def _send_model(self, content: Mapping[str, Any]) -> None:
        """A version of a registered model."""
        from tasks.engine.model_registry import register

        if self.run_id is not None:
            register(self.client, self.run_id, self.journal.folder / content["folder"], content)

    def _send_status(self, status: str) -> None:
        if status == "RUNNING":
            self.client.update_run(self.run_id, status="RUNNING")
            return
        self.client.set_terminated(self.run_id, status)
        self.ended = True
