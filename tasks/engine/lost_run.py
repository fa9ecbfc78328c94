"""Tells Prefect that a deployed run was killed: `python -m tasks.engine.lost_run`.

A worker that is stopped kills its runs at once, and Prefect would show them as running for ever.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from phrase_models.training.watchdog import CHECK_SECONDS
from tasks.engine.child_process import child_environment, stop_child
from tasks.engine.services import ANSWER_SECONDS

GRACE_SECONDS = 1.0
"""For whoever else tells of it: a worker that goes on knows the exit code."""
RETRY_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
"""For a server that is gone."""
STOP_SECONDS = 1.0
MESSAGE = (
    "The process of this run was killed, as when its worker is stopped: what was finished is kept, "
    "and the same parameters go on from the last checkpoint."
)


@contextmanager
def watching(flow_run_id: str) -> Iterator[None]:
    """Have the run under way watched by another process, which stays until the run is told of."""
    watcher = subprocess.Popen(
        [sys.executable, "-m", __name__, flow_run_id, "--parent", str(os.getpid())],
        env=child_environment(),
        # A worker waits for whoever holds its pipe, and signals of its terminal are not for this.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield
    stop_child(watcher, STOP_SECONDS)  # not after an error: it may be a signal before a kill


def tell(flow_run_id: str) -> None:
    """Call a flow run crashed that Prefect takes for running.

    By plain HTTP, as this process is to be small and to end soon, while Prefect's client takes
    seconds to be imported. A server that is gone is tried for a while.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    crashed = {"type": "CRASHED", "name": "Crashed", "message": MESSAGE}
    while True:
        try:
            if _ask(f"/flow_runs/{flow_run_id}")["state_type"] == "RUNNING":
                _ask(f"/flow_runs/{flow_run_id}/set_state", {"state": crashed, "force": True})
        except (OSError, HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _ask(path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer of the server that the worker's environment names, as Prefect's client asks it."""
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    elif password := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {b64encode(password.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{os.environ['PREFECT_API_URL']}{path}", data, headers)
    with urlopen(request, timeout=ANSWER_SECONDS) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def main() -> None:
    """Wait for the end of the parent, and tell of it."""
    parser = argparse.ArgumentParser(description="Tell Prefect when a run was killed.")
    parser.add_argument("flow_run", help="its id")
    parser.add_argument("--parent", type=int, required=True, help="process of the run")
    arguments = parser.parse_args()
    while os.getppid() == arguments.parent:
        time.sleep(CHECK_SECONDS)
    time.sleep(GRACE_SECONDS)
    tell(arguments.flow_run)


if __name__ == "__main__":
    main()
