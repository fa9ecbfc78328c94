"""Runs a service that ends with its platform: `python -m tasks.team_platform.guard PARENT ...`.

Servers of others know nothing of the process that started them. Each has a guard that leads its
process group, ends it when asked or when the platform is gone, and leaves nothing of it behind.
"""

import os
import signal
import subprocess
import sys
import threading

from tasks.engine.child_process import stop_child

POLL_SECONDS = 0.2
STOP_SECONDS = 8.0
"""For a service to close what it has open; a worker kills its run in it."""


def guard(parent: int, command: list[str]) -> int:
    """Run a command until it ends, a SIGTERM comes or the parent is gone.

    Returns:
        Its exit code, as a shell has it: 128 and the signal's number for one that was killed.
    """
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: asked.set())
    # A shell's background job ignores it and hands that down, but Prefect's worker ends by it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    child = subprocess.Popen(command)
    while child.poll() is None and os.getppid() == parent and not asked.wait(POLL_SECONDS):
        pass
    stop_child(child, STOP_SECONDS)
    if os.getppid() != parent:  # nobody else is left to do it
        os.killpg(0, signal.SIGKILL)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), sys.argv[2:]))
