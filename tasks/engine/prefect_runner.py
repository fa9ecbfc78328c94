"""Running stages as Prefect tasks; what the store holds already shows as *Cached*.

Prefect's own cache is not used: it cannot see an edit in code that a task calls, and shares keys
between tasks. A hit in our store ends the task in a state named Cached instead.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from storage.artifacts import ArtifactRef
from tasks.engine.failures import RETRY_SECONDS, passes_by_itself
from tasks.engine.prefect_pages import PrefectPages
from tasks.engine.prefect_runs import deployed_run
from tasks.engine.stage import Session, Stage, StageResult, run_stage
from tasks.engine.stage_report import stage_report
from tasks.engine.temporary_server import server_is_temporary

FOLLOWED_LOGGERS = ("phrase_models", "tasks", "storage")


def flow_run_tags() -> dict[str, str]:
    """The flow run under way as tags of an MLflow run, so that one leads to the other."""
    tags = {"prefect.flow_run_id": flow_run.id, "prefect.flow_run_name": flow_run.name}
    if not server_is_temporary():
        tags["prefect.flow_run_url"] = flow_run.ui_url
    return {name: str(value) for name, value in tags.items() if value}


class PrefectRunner:
    """Runs each stage as a task run of the flow under way.

    Args:
        session: the execution.
        pages: what Prefect shows of it.
        asked: what sets this run apart, for the names of its task runs.
    """

    def __init__(self, session: Session, pages: PrefectPages, asked: str = "") -> None:
        self.session, self.pages, self.asked = session, pages, asked
        for name in FOLLOWED_LOGGERS:
            # Prefect shows lines of other loggers only where these have a level of their own.
            if logging.getLogger(name).level == logging.NOTSET:
                logging.getLogger(name).setLevel(logging.INFO)

    def run(self, stage: Stage) -> ArtifactRef:
        """The stage's artifact, made or found."""
        session = replace(self.session, on_progress=self._show_progress)

        # The stage itself stays in this closure: Prefect would record and hash it as a parameter.
        @task(
            name=stage.name,
            task_run_name=f"{stage.name} ({self.asked})" if self.asked else stage.name,
            cache_policy=NO_CACHE,
            persist_result=False,
            # A person at a terminal sees the failure at once, and what to do.
            retries=len(RETRY_SECONDS) if deployed_run() else 0,
            retry_delay_seconds=[*RETRY_SECONDS],
            retry_condition_fn=_may_pass,
        )
        def run_as_task() -> State[StageResult]:
            result = run_stage(stage, session)
            took = "Cached" if result.cached else f"{result.seconds:.0f} s"
            report = stage_report(stage, result, session)
            self.pages.report(stage.name, report, f"{stage.name}, {took}")
            if result.cached:
                message = f"taken from the store: {result.ref.key[:12]}"
                return Completed(name="Cached", message=message, data=result)
            return Completed(message=f"made {result.ref.key[:12]}", data=result)

        # A task that returns a State hands the State to its caller.
        state: Any = run_as_task(return_state=True)
        result: StageResult = state.result()
        return result.ref

    def _show_progress(self, name: str, share: float, words: str) -> None:
        self.session.on_progress(name, share, words)
        self.pages.show_progress(name, share, words)


def _may_pass(_: object, __: object, state: State[Any]) -> bool:
    """Whether a stage that failed is tried again."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and passes_by_itself(error)
