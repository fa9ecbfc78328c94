"""Servers that are named and do not answer are told before anything starts."""

import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tasks.engine import services
from tasks.engine.mlflow_sender import check_mlflow
from tasks.engine.services import ServiceUnreachable, check_prefect, server_answers

CODES = {401: True, 403: True, 404: False, 502: False, 503: False}
"""Whether somebody answers who gives this code."""


@pytest.fixture
def dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def silent_port(monkeypatch):
    """A port that takes connections and never answers."""
    monkeypatch.setattr(services, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def grumpy_port():
    """A server that answers everything with the error in the path."""

    class Grumpy(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(int(self.path[1:]))

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Grumpy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_an_error_is_an_answer_and_silence_is_none(grumpy_port, silent_port, dead_port):
    answers = {code: server_answers(f"http://127.0.0.1:{grumpy_port}/{code}") for code in CODES}
    assert answers == CODES
    assert not server_answers(f"http://127.0.0.1:{silent_port}")
    assert not server_answers(f"http://127.0.0.1:{dead_port}")


@pytest.mark.parametrize("kind", ["dead", "silent"])
def test_an_mlflow_that_does_not_answer_is_one_sentence(
    kind, dead_port, silent_port, tmp_path, monkeypatch
):
    port = {"dead": dead_port, "silent": silent_port}[kind]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable, match=rf"^No MLflow answers at .*:{port}: [^\n]*$"):
        check_mlflow(tmp_path)
    assert time.monotonic() - began < 15


def test_the_stores_own_mlflow_need_not_be_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    check_mlflow(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["dead", "silent"])
def test_a_prefect_that_does_not_answer_is_one_sentence(kind, dead_port, silent_port):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    port = {"dead": dead_port, "silent": silent_port}[kind]
    began = time.monotonic()
    with (
        temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}),
        pytest.raises(ServiceUnreachable, match=rf"^No Prefect server answers at .*:{port}/api: "),
    ):
        check_prefect()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("variable", "path", "options"),
    [
        ("PREFECT_API_URL", "/api", ["run"]),
        ("PREFECT_API_URL", "/api", ["sweep", "--over", "vae.latent_dim=2,4"]),
        ("MLFLOW_TRACKING_URI", "", ["run", "--plain"]),
        ("MLFLOW_TRACKING_URI", "", ["prepare"]),
        ("MLFLOW_TRACKING_URI", "", ["baseline"]),
    ],
)
def test_commands_tell_of_it_before_they_import_what_takes_seconds(
    variable, path, options, dead_port, tmp_path
):
    url = f"http://127.0.0.1:{dead_port}{path}"
    command = [sys.executable, "-X", "importtime", "-m", "flows", *options, "--store", "made"]
    environment = os.environ | {variable: url, "PHRASELDM_TRACKING": "on"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2
    assert len(lines) == 1
    assert f"{variable}={url}" in lines[0]
    assert not {"torch", "prefect", "mlflow"} & {
        line.rsplit("|")[-1].strip() for line in done.stderr.splitlines()
    }
    assert list(tmp_path.iterdir()) == []
