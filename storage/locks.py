"""Locks between processes of one machine, freed by the kernel when their holder is gone."""

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from storage.writing import translate_disk_errors

_logger = logging.getLogger(__name__)


@contextmanager
def hold_lock(path: Path, what: str) -> Iterator[int]:
    """Hold a lock file, waiting for whoever holds it; a warning says for whom.

    Args:
        path: the lock file; made if needed, never removed. It names its holder for people.
        what: what the holder does, such as "trains on this device".

    Yields:
        The file descriptor. It is inheritable: a child that gets it (`pass_fds`) keeps the lock
        held should this process die before it.

    Raises:
        DiskFull: if the disk is full.
        NotWritable: if the folder may not be written.
    """
    with translate_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - positional-only
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _logger.warning("Waiting for %s.", _holder(descriptor, what))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with translate_disk_errors(path):
            _sign(descriptor)
        yield descriptor
    finally:
        # Closed, not unlocked: an unlock would take the lock from a child that still works.
        os.close(descriptor)


@contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock file that is there and that nobody holds; yields whether that is so."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:  # the folder is gone
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield path.exists()  # else it was removed by its last holder
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Write into a lock file who holds it, and since when."""
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} since {since}\n".encode(), 0)


def _holder(descriptor: int, what: str) -> str:
    """Who holds a lock, in words: "process 12 (since ...), which trains on this device"."""
    signature = os.pread(descriptor, 200, 0).decode(errors="replace")
    match = re.match(r"process (\d+) since (.+)\n", signature)
    if match is None:  # it has just got hold of it
        return f"another process, which {what}"
    pid, since = match.groups()
    whose = "" if _runs(int(pid)) else "what is left of "
    return f"{whose}process {pid} (since {since}), which {what}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
