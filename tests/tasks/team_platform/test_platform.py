"""The whole platform: a deployment is run by its worker on its store, and Ctrl-C leaves nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tasks.engine.child_process import child_environment
from tasks.team_platform.notification import WEBHOOK_VARIABLE
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc"),
]
MARK = "PLATFORM_UNDER_TEST"
SECRET = "planted-secret-6f1c"
HEARING_CTRL_C = ("env", "--default-signal=INT")
"""As in a terminal, also where these tests are a shell's background job."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def marked_processes(mark: str) -> list[str]:
    """Command lines of processes that were started with a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def read_environment(file: Path) -> dict[str, str]:
    lines = (line for line in file.read_text().splitlines() if not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def chat() -> Iterator[tuple[str, list[str]]]:
    """An address that takes messages, and those that came."""
    messages: list[str] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == f"/{SECRET}":
                messages.append(body["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{SECRET}", messages
    finally:
        server.shutdown()
        server.server_close()


def wait_for_words(process: subprocess.Popen, said: Path, words: str) -> None:
    deadline = time.monotonic() + 300
    while words not in said.read_text():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.2)


@pytest.mark.timeout(1200)
def test_a_platform_runs_a_deployment_tells_of_a_failure_and_leaves_no_process(tmp_path, chat):
    address, messages = chat
    mark, folder, said = str(tmp_path), tmp_path / "platform", tmp_path / "said.txt"
    ports = [f"--{name}-port={free_port()}" for name in ("prefect", "mlflow", "s3")]
    base = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "AWS_"))}
    base |= {"HOME": str(tmp_path), "PYTHONPATH": child_environment()["PYTHONPATH"], MARK: mark}
    base |= {WEBHOOK_VARIABLE: address}
    with said.open("wb") as file:
        platform = subprocess.Popen(
            [
                *HEARING_CTRL_C,
                sys.executable,
                "-m",
                "flows",
                "platform",
                "--folder",
                folder,
                *ports,
            ],
            cwd=tmp_path,
            env=base,
            stdout=file,
            stderr=file,
        )
    try:
        wait_for_words(platform, said, "Ctrl-C ends all of it.")
        again = [sys.executable, "-m", "flows", "platform", "--folder", str(folder)]
        refused = subprocess.run(
            [*again, *(f"--{name}-port={free_port()}" for name in ("prefect", "mlflow", "s3"))],
            cwd=tmp_path, env=base, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert refused.returncode == 2
        assert refused.stderr == (
            f"A platform runs in {folder} already: end it, or name another --folder.\n"
        )
        client = {**base, **read_environment(folder / "environment")}
        words = ["deployment", "run", "phrase-ldm/smoke", "--param", "until=data", "--watch"]
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *words],
            cwd=tmp_path, env=client, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        listed = subprocess.run(
            [sys.executable, "-m", "flows", "store", "ls"],
            cwd=tmp_path, env=client, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for stage in ("compose_corpus", "ingest_songs", "tokenise_songs"):
            assert stage in listed.stdout
        assert messages == []
        failing = ["deployment", "run", "phrase-ldm/smoke", "--param", "source=pop909", "--watch"]
        failed = subprocess.run(
            [sys.executable, "-m", "prefect", *failing],
            cwd=tmp_path, env=client, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert failed.returncode != 0
        wait_for(lambda: messages, 60)
        # Prefect tells an event again when its database was locked meanwhile (seen on SQLite).
        (message,) = set(messages)
        assert message.startswith("phrase-ldm: 'smoke' is Failed\n")
        assert "Source pop909 needs --data" in message
        assert f"{client['PREFECT_API_URL'].removesuffix('/api')}/runs/flow-run/" in message
        assert len(marked_processes(mark)) >= 8
        platform.send_signal(signal.SIGINT)
        assert platform.wait(60) == 130
    finally:
        platform.kill()  # whatever it has started goes with it
        platform.wait()
    assert said.read_text().endswith(
        f"Ended: databases, logs and the working store stay in {folder}.\n"
    )
    assert marked_processes(mark) == []
    logs = "".join(file.read_text(errors="replace") for file in (folder / "logs").iterdir())
    assert SECRET not in logs + said.read_text() + (folder / "environment").read_text()
