"""A Prefect server for one run, where none is named: `python -m tasks.engine.temporary_server`.

Prefect starts one by itself, but that one outlives a run that is killed. This one looks for the
process that started it twice a second.
"""

import argparse
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phrase_models.training.watchdog import exit_with_parent
from storage.locks import hold_lock
from tasks.engine.child_process import child_environment, stop_child

POLL_SECONDS = 0.1
STOP_SECONDS = 3.0


class ServerFailedError(RuntimeError):
    """The temporary server did not start."""


@contextmanager
def temporary_server() -> Iterator[None]:
    """A Prefect server of this run's own, unless the settings name one.

    Heartbeats are off with it: they serve a server that looks for dead runs, and cost each flow run
    a second. No environment variable can turn them off. No log lines are sent to it either, as the
    last ones come when it is gone.

    Raises:
        ServerFailedError: if it does not start in the time that Prefect's settings give it.
    """
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    if PREFECT_API_URL.value():
        yield
        return
    with _started() as url:
        changes = {
            PREFECT_API_URL: url,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            PREFECT_LOGGING_TO_API_ENABLED: False,
        }
        with temporary_settings(changes):
            yield


def server_is_temporary() -> bool:
    """Whether the server ends with this run, so that a link to its pages would lead nowhere."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

    return PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is None


@contextmanager
def _started() -> Iterator[str]:
    """A running server's API address."""
    from prefect.settings import (
        PREFECT_HOME,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    )

    # Bound here and inherited, so that no other process can take the port in between.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        command = [sys.executable, "-m", __name__, "--socket", str(listening.fileno())]
        command += ["--parent", str(os.getpid())]
        # Several servers of one store share its database, which only one of them may set up.
        lock = Path(PREFECT_HOME.value()) / "server-start.lock"
        with hold_lock(lock, "starts its Prefect server"):
            child = subprocess.Popen(
                command,
                pass_fds=[listening.fileno()],
                env=child_environment(),
                # Ctrl-C in a terminal reaches every process of its session; this one is needed
                # until the run has said how it ended.
                start_new_session=True,
            )
            try:
                _wait_for(child, url, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value())
            except BaseException:
                stop_child(child, STOP_SECONDS)
                raise
    try:
        yield url
    finally:
        stop_child(child, STOP_SECONDS)


def _wait_for(child: subprocess.Popen[bytes], url: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.poll() is not None:
            message = f"the temporary Prefect server ended with code {child.returncode}"
            raise ServerFailedError(message)
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=seconds):
                return
        except OSError:
            time.sleep(POLL_SECONDS)
    message = f"the temporary Prefect server did not start in {seconds:.0f} s"
    raise ServerFailedError(message)


def main() -> None:
    """Serve on a socket that was inherited, as long as the parent lives."""
    parser = argparse.ArgumentParser(description="Serve Prefect's API for the parent process.")
    parser.add_argument("--socket", type=int, required=True, help="listening; inherited")
    parser.add_argument("--parent", type=int, required=True, help="process to end with")
    arguments = parser.parse_args()
    exit_with_parent(arguments.parent)
    import uvicorn
    from prefect.server.api.server import create_app

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = uvicorn.Config(create_app(ephemeral=True, final=True), log_level="error")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=arguments.socket)])


if __name__ == "__main__":
    main()
