"""Running stages as Prefect tasks; what the store holds already shows as *Cached*.

Prefect's own cache is not used: it cannot see an edit in code that a task calls, and shares keys
between tasks. A hit in our store ends the task in a state named Cached instead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from prefect import task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.states import Completed

from storage.artifacts import ArtifactRef
from tasks.engine.stage import Session, Stage, StageResult, run_stage

PROGRESS_SECONDS = 10.0
FOLLOWED_LOGGERS = ("phrase_models", "tasks", "storage")


@contextmanager
def light_server() -> Iterator[None]:
    """With a temporary server, spare each flow run the second that its heartbeat thread takes.

    Heartbeats serve a server that looks for dead runs; a temporary one does not. No environment
    variable can turn them off.
    """
    if PREFECT_API_URL.value():
        yield
        return
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def flow_run_tags() -> dict[str, str]:
    """The flow run under way as tags of an MLflow run, so that one leads to the other."""
    tags = {"prefect.flow_run_id": flow_run.id, "prefect.flow_run_name": flow_run.name}
    if PREFECT_API_URL.value():  # the page of a temporary server is gone with it
        tags["prefect.flow_run_url"] = flow_run.ui_url
    return {name: str(value) for name, value in tags.items() if value}


class PrefectRunner:
    """Runs each stage as a task run of the flow under way."""

    def __init__(self, session: Session) -> None:
        self.session = session
        for name in FOLLOWED_LOGGERS:
            # Prefect shows lines of other loggers only where these have a level of their own.
            if logging.getLogger(name).level == logging.NOTSET:
                logging.getLogger(name).setLevel(logging.INFO)

    def run(self, stage: Stage) -> ArtifactRef:
        """The stage's artifact, made or found."""
        session = replace(self.session, on_progress=ProgressArtifact(self.session.on_progress))

        # The stage itself stays in this closure: Prefect would record and hash it as a parameter.
        @task(
            name=stage.name,
            task_run_name=stage.name,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        def run_as_task() -> State[StageResult]:
            result = run_stage(stage, session)
            if result.cached:
                message = f"taken from the store: {result.ref.key[:12]}"
                return Completed(name="Cached", message=message, data=result)
            _report(stage, result, session)
            return Completed(message=f"made {result.ref.key[:12]}", data=result)

        # A task that returns a State hands the State to its caller.
        state: Any = run_as_task(return_state=True)
        result: StageResult = state.result()
        return result.ref


class ProgressArtifact:
    """Shows a stage's progress in Prefect, at most every few seconds, and passes it on."""

    def __init__(self, pass_on: Callable[[str, float, str], None]) -> None:
        self.pass_on = pass_on
        self.artifact: UUID | None = None
        self.shown = time.monotonic()

    def __call__(self, name: str, share: float, words: str) -> None:
        """Show it if it is time."""
        self.pass_on(name, share, words)
        if time.monotonic() - self.shown < PROGRESS_SECONDS:
            return
        self.shown = time.monotonic()
        percent = min(100.0, max(0.0, 100.0 * share))
        if self.artifact is None:
            key = f"{name.replace('_', '-')}-progress"
            created: Any = create_progress_artifact(percent, key=key, description=words)
            self.artifact = created
        else:
            update_progress_artifact(self.artifact, percent, description=words)


def _report(stage: Stage, result: StageResult, session: Session) -> None:
    meta = session.store.manifest(result.ref).meta
    figures = {"seconds": round(result.seconds, 1), "artifact": result.ref.folder, **meta}
    if result.tracking_run:
        figures["MLflow run"] = result.tracking_run
    rows = "\n".join(f"| {name} | {_show(value)} |" for name, value in figures.items())
    create_markdown_artifact(
        key=stage.name.replace("_", "-"),
        markdown=f"## {stage.name}\n\n| figure | value |\n|---|---|\n{rows}\n",
        description=f"{stage.name}, {result.seconds:.0f} s",
    )


def _show(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
