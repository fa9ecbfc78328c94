"""Stages as Prefect tasks: what the store holds shows as Cached, failures as what they are."""

from contextlib import contextmanager

import pytest
from pydantic import BaseModel, ConfigDict

from phrase_models.errors import ConfigurationError
from storage.artifacts import ArtifactStore
from tasks.engine import prefect_pages, prefect_runner
from tasks.engine.prefect_pages import showing
from tasks.engine.prefect_runner import PrefectRunner, flow_run_tags
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import Session, Stage
from tasks.engine.tracker import NullTracker

pytestmark = pytest.mark.slow


class Number(BaseModel):
    model_config = ConfigDict(frozen=True)

    value: int


@contextmanager
def no_tracking(stage, key, state):
    yield NullTracker()


def write_number(context):
    context.report_progress(0.25, "a quarter")
    context.report_progress(0.5, "half")
    (context.output / "number.txt").write_text(str(context.config.value))
    return {"share": 0.123456, "value": context.config.value}


def refuse(context):
    raise ConfigurationError("That cannot be done.")


def fail_with(error):
    def body(context):
        raise error

    return body


def number_stage(value=1, body=write_number) -> Stage:
    return Stage(
        name="some_numbers",
        config=Number(value=value),
        inputs={},
        body=body,
        code=("phrase_models.score.song",),
    )


@pytest.fixture
def execute(prefect_server, tmp_path):
    """Run stages in a flow; returns the flow run's task runs, oldest first, and the artifacts."""
    from prefect import flow, get_client
    from prefect.runtime import flow_run

    session = Session(ArtifactStore(tmp_path / "store"), RuntimeConfig(), no_tracking)

    def run(*stages):
        seen = {}

        @flow(name="two-stages")
        def some_stages():
            seen["id"] = flow_run.get_id()
            seen["tags"] = flow_run_tags()
            with showing() as pages:
                seen["refs"] = [PrefectRunner(session, pages).run(stage) for stage in stages]

        try:
            some_stages()
        finally:
            with get_client(sync_client=True) as client:
                body = {"flow_runs": {"id": {"any_": [seen["id"]]}}}
                tasks = client.request("POST", "/task_runs/filter", json=body).json()
                artifacts = client.request("POST", "/artifacts/filter", json=body).json()
                seen["flow"] = client.read_flow_run(seen["id"])
            seen["tasks"] = sorted(tasks, key=lambda task: task["start_time"])
            seen["artifacts"] = {artifact["key"]: artifact for artifact in artifacts}
            run.seen = seen
        return seen

    return run


def test_a_stage_is_completed_and_then_cached(execute, monkeypatch):
    monkeypatch.setattr(prefect_pages, "PROGRESS_SECONDS", 0.0)
    first, second = execute(number_stage()), execute(number_stage())
    assert first["refs"] == second["refs"]
    names = [
        [task["name"], task["state"]["name"]] for run in (first, second) for task in run["tasks"]
    ]
    assert names == [["some_numbers", "Completed"], ["some_numbers", "Cached"]]
    assert [task["task_inputs"] for task in first["tasks"]] == [{}]
    report = first["artifacts"]["some-numbers"]["data"]
    assert "| share | 0.1235 |" in report
    assert "| value | 1 |" in report
    progress = first["artifacts"]["some-numbers-progress"]
    assert (progress["data"], progress["description"]) == (50.0, "half")
    again = second["artifacts"]
    assert again.keys() == {"some-numbers"}
    assert "| value | 1 |" in again["some-numbers"]["data"]
    assert ("| seconds |" in report, "| seconds |" in again["some-numbers"]["data"]) == (
        True,
        False,
    )
    for run in (first, second):
        tags = run["tags"]
        assert tags["prefect.flow_run_id"] == run["id"]
        assert tags["prefect.flow_run_name"] == run["flow"].name
        assert tags["prefect.flow_run_url"].endswith(f"/flow-run/{run['id']}")


def test_a_temporary_server_has_no_page_to_link(execute, monkeypatch):
    monkeypatch.setattr(prefect_runner, "server_is_temporary", lambda: True)
    assert execute()["tags"].keys() == {"prefect.flow_run_id", "prefect.flow_run_name"}


def test_an_error_of_a_stage_is_the_errors_own_and_fails_the_run(execute):
    with pytest.raises(ConfigurationError, match=r"^That cannot be done\.$"):
        execute(number_stage(), number_stage(2, refuse), number_stage(3))
    seen = execute.seen
    assert [task["state"]["name"] for task in seen["tasks"]] == ["Completed", "Failed"]
    assert seen["flow"].state.name == "Failed"


@pytest.mark.parametrize(
    ("deployed", "failure", "tries"),
    [
        ("an id", ConnectionResetError("away"), 2),
        ("an id", ConfigurationError("That cannot be done."), 1),
        (None, ConnectionResetError("away"), 1),
    ],
)
def test_a_deployments_stage_is_tried_again_after_what_passes(
    deployed, failure, tries, execute, monkeypatch
):
    monkeypatch.setattr(prefect_runner, "deployed_run", lambda: deployed)
    monkeypatch.setattr(prefect_runner, "RETRY_SECONDS", (0.0, 0.0))
    bodies = iter([fail_with(failure), write_number])
    calls = []

    def body(context):
        calls.append(context.stage)
        return next(bodies)(context)

    if tries == 1:
        with pytest.raises(type(failure)):
            execute(number_stage(body=body))
    else:
        execute(number_stage(body=body))
    assert len(calls) == tries
