"""Processes of one training on this machine, as torchrun starts them, without an open port.

They meet in a file and talk over the loopback interface. They end with whoever started them (see
`watchdog`), and all with the first that fails; the exit code is that one's, so that a sentence for
the user stays one, which torchrun would bury.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CHECK_SECONDS = 0.1
LAST_WORDS_SECONDS = 1.0
"""For the others to end by themselves, and say why, after the first that failed."""
LOST_CODE = 3
"""Exit code where a process was lost, to those that it leaves and to who started them."""
RENDEZVOUS = "PHRASELDM_RENDEZVOUS"
"""Variable that says where the processes meet; at torchrun's own place unless it is set."""


class LostProcessError(RuntimeError):
    """Another process of the training is gone, so this one cannot go on either."""


def started_together() -> bool:
    """Whether this is one of the processes that torchrun, or `run_processes`, has started."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def process_rank() -> int:
    """Rank of this process among them."""
    return int(os.environ.get("RANK", "0"))


def run_processes(command: Sequence[str], count: int) -> int:
    """Run a command as `count` processes of one training until all end, or one fails.

    Args:
        command: of one process; the variables RANK, LOCAL_RANK and WORLD_SIZE tell it which.
        count: how many.

    Returns:
        The exit code: 0, or that of the first that failed, `LOST_CODE` if a signal ended it.
    """
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder) / 'rendezvous'}"
        children = [
            # Locks that this process holds for who started it are to be theirs, too.
            subprocess.Popen(command, close_fds=False, env=_environment(rank, count, meeting))
            for rank in range(count)
        ]
        try:
            return _exit_code(_wait(children))
        finally:
            for child in children:
                child.kill()
                child.wait()


def _environment(rank: int, count: int, meeting: str) -> dict[str, str]:
    variables = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        RENDEZVOUS: meeting,
    }
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    interfaces = {f"{kind}_SOCKET_IFNAME": loopback[0] for kind in ("GLOO", "NCCL") if loopback}
    return {**interfaces, **os.environ, **variables}


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> list[int | None]:
    """Exit codes once all have ended, or a moment after one has failed."""
    deadline = float("inf")
    while True:
        codes = [child.poll() for child in children]
        if any(codes):
            deadline = min(deadline, time.monotonic() + LAST_WORDS_SECONDS)
        if None not in codes or time.monotonic() > deadline:
            return codes
        time.sleep(CHECK_SECONDS)


def _exit_code(codes: Sequence[int | None]) -> int:
    failures = [(rank, code) for rank, code in enumerate(codes) if code]
    # Who only lost another process is no cause, unless that one was on no such list.
    causes = [failure for failure in failures if failure[1] != LOST_CODE] or failures
    if not causes:
        return 0
    rank, code = causes[0]
    if code > 0:
        return code
    sys.stderr.write(
        f"Process {rank} of {len(codes)} was ended by signal {-code} "
        f"({signal.Signals(-code).name}), and with it the training; started again, it goes on "
        "from the last checkpoint.\n"
    )
    return LOST_CODE
