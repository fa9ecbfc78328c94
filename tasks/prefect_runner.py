"""Running stages as Prefect tasks; what the store holds already shows as *Cached*.

Prefect's own cache is not used: it cannot see an edit in code that a task calls, and shares keys
between tasks. A hit in our store ends the task in a state named Cached instead.
"""

from __future__ import annotations

import time
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from storage.artifacts import ArtifactRef
from tasks.stage import Session, Stage, StageResult, run_stage

PROGRESS_SECONDS = 10.0


class PrefectRunner:
    """Runs each stage as a task run of the flow under way."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, stage: Stage) -> ArtifactRef:
        """The stage's artifact, made or found."""
        session = self.session

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


def _report(stage: Stage, result: StageResult, session: Session) -> None:
    meta = session.store.manifest(result.ref).meta
    rows = "\n".join(f"| {name} | {_show(value)} |" for name, value in meta.items())
    create_markdown_artifact(
        key=stage.name.replace("_", "-"),
        markdown=f"## {stage.name}\n\n{result.seconds:.1f} s, `{result.ref.folder}`\n\n"
        f"| figure | value |\n|---|---|\n{rows}\n",
        description=f"{stage.name} in {time.strftime('%H:%M', time.gmtime(result.seconds))} h",
    )


def _show(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
