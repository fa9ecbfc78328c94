"""A run whose process was killed is called crashed, unless somebody has told how it ended."""

import os
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import State
from prefect.states import AwaitingRetry, Cancelled, Completed, Crashed, Running

from tasks.engine import lost_run

RUN = uuid4()


class Server:
    """A Prefect server that knows one run."""

    def __init__(self, state: State, refusals: int = 0) -> None:
        self.state, self.refusals = state, refusals

    @contextmanager
    def open_client(self):
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError
        yield self

    def read_flow_run(self, flow_run_id: UUID) -> SimpleNamespace:
        assert flow_run_id == RUN
        return SimpleNamespace(state=self.state)

    def set_flow_run_state(self, flow_run_id: UUID, state: State, *, force: bool) -> None:
        assert flow_run_id == RUN
        assert force
        self.state = state


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(lost_run, "RETRY_SECONDS", 0.0)


def test_a_run_taken_for_running_has_crashed():
    server = Server(Running())
    lost_run.tell(RUN, server.open_client)
    assert server.state.is_crashed()
    assert server.state.message == lost_run.MESSAGE


@pytest.mark.parametrize(
    "state", [Completed(), Cancelled(), Crashed(message="exit code 9"), AwaitingRetry()]
)
def test_what_is_known_of_its_end_stays(state):
    server = Server(state)
    lost_run.tell(RUN, server.open_client)
    assert server.state is state


def test_a_server_that_is_gone_is_asked_again_for_a_while(monkeypatch):
    server = Server(Running(), refusals=3)
    lost_run.tell(RUN, server.open_client)
    assert server.state.is_crashed()
    monkeypatch.setattr(lost_run, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(ConnectionRefusedError):
        lost_run.tell(RUN, Server(Running(), refusals=2).open_client)


def test_the_watcher_ends_with_what_it_watches_over(monkeypatch):
    started = []

    def popen(*arguments, **options):
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(lost_run, "subprocess", SimpleNamespace(Popen=popen, DEVNULL=-3))
    with lost_run.watching(str(RUN)):
        (watcher,) = started
        assert watcher.args == [
            *(sys.executable, "-m", "tasks.engine.lost_run", str(RUN)),
            *("--parent", str(os.getpid())),
        ]
        assert os.getsid(watcher.pid) == watcher.pid
        assert watcher.poll() is None
    assert watcher.poll() is not None
