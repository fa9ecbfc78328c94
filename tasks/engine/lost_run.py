"""Tells Prefect that a deployed run was killed: `python -m tasks.engine.lost_run`.

A worker that is stopped kills its runs at once, and Prefect would show them as running for ever.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from phrase_models.training.watchdog import CHECK_SECONDS
from tasks.engine.child_process import child_environment, stop_child

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

GRACE_SECONDS = 2.0
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


def tell(
    flow_run_id: UUID, open_client: Callable[[], AbstractContextManager[SyncPrefectClient]]
) -> None:
    """Call a flow run crashed that Prefect takes for running.

    Args:
        flow_run_id: of a run whose process has ended.
        open_client: opens a client of the server, which is tried for a while.
    """
    from prefect.states import Crashed

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with open_client() as client:
                state = client.read_flow_run(flow_run_id).state
                if state is not None and state.is_running():
                    client.set_flow_run_state(flow_run_id, Crashed(message=MESSAGE), force=True)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def main() -> None:
    """Wait for the end of the parent, and tell of it."""
    parser = argparse.ArgumentParser(description="Tell Prefect when a run was killed.")
    parser.add_argument("flow_run", type=UUID)
    parser.add_argument("--parent", type=int, required=True, help="process of the run")
    arguments = parser.parse_args()
    while os.getppid() == arguments.parent:
        time.sleep(CHECK_SECONDS)
    time.sleep(GRACE_SECONDS)
    from prefect import get_client

    tell(arguments.flow_run, lambda: get_client(sync_client=True))


if __name__ == "__main__":
    main()
