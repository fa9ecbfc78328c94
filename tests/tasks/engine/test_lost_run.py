"""A run whose process was killed is called crashed, unless somebody has told how it ended."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from urllib.error import HTTPError, URLError

import pytest

from tasks.engine import lost_run

RUN = "6ff0d8a2-9a3c-4d57-8a52-7a1f5f4f2b11"
BASIC = "Basic YW5uYTpzZWNyZXQ="
"""anna:secret"""


class FlowRunServer(HTTPServer):
    """Answers as Prefect does for one flow run.

    Attributes:
        state: of the run.
        refusals: how many requests it answers by 503 before.
        wants: the header that it demands.
    """

    state: dict[str, str]
    refusals = 0
    wants: str | None = None


class Handler(BaseHTTPRequestHandler):
    server: FlowRunServer

    def answer(self, content: dict[str, object]) -> None:
        code = 200 if self.headers["Authorization"] == self.server.wants else 401
        if self.server.refusals:
            self.server.refusals -= 1
            code = 503
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self) -> None:
        assert self.path == f"/api/flow_runs/{RUN}"
        self.answer({"state_type": self.server.state["type"]})

    def do_POST(self) -> None:
        assert self.path == f"/api/flow_runs/{RUN}/set_state"
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["force"] is True
        self.server.state = asked["state"]
        self.answer({"status": "ACCEPT"})

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    with FlowRunServer(("127.0.0.1", 0), Handler) as server:
        for name in ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
        monkeypatch.setattr(lost_run, "RETRY_SECONDS", 0.0)
        server.state = {"type": "RUNNING", "name": "Running"}
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_run_taken_for_running_has_crashed(server):
    lost_run.tell(RUN)
    assert server.state == {"type": "CRASHED", "name": "Crashed", "message": lost_run.MESSAGE}


@pytest.mark.parametrize("kind", ["COMPLETED", "CANCELLED", "CANCELLING", "CRASHED", "SCHEDULED"])
def test_what_is_known_of_its_end_stays(server, kind):
    server.state = state = {"type": kind}
    lost_run.tell(RUN)
    assert server.state is state


@pytest.mark.parametrize(
    ("name", "value", "header"),
    [
        ("PREFECT_API_KEY", "pnu_1", "Bearer pnu_1"),
        ("PREFECT_API_AUTH_STRING", "anna:secret", BASIC),
    ],
)
def test_it_has_the_password_that_the_worker_has(server, monkeypatch, name, value, header):
    server.wants = header
    monkeypatch.setattr(lost_run, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(HTTPError, match="401"):
        lost_run.tell(RUN)
    monkeypatch.setenv(name, value)
    lost_run.tell(RUN)
    assert server.state["type"] == "CRASHED"


def test_a_server_that_is_gone_is_asked_again_for_a_while(server, monkeypatch):
    server.refusals = 3
    lost_run.tell(RUN)
    assert server.state["type"] == "CRASHED"
    monkeypatch.setattr(lost_run, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with pytest.raises(URLError):
        lost_run.tell(RUN)


def test_the_watcher_ends_with_what_it_watches_over(monkeypatch):
    started = []

    def popen(*arguments, **options):
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(lost_run, "subprocess", SimpleNamespace(Popen=popen, DEVNULL=-3))
    with lost_run.watching(RUN):
        (watcher,) = started
        assert watcher.args == [
            *(sys.executable, "-m", "tasks.engine.lost_run", RUN),
            *("--parent", str(os.getpid())),
        ]
        assert os.getsid(watcher.pid) == watcher.pid
        assert watcher.poll() is None
    assert watcher.poll() is not None
