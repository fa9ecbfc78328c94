"""Locks between processes of one machine, freed by the kernel when their holder is gone."""

import fcntl
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from storage.writing import translate_disk_errors

_logger = logging.getLogger(__name__)


@contextmanager
def hold_lock(path: Path, what: str, note: str = "") -> Iterator[int]:
    """Hold a lock file, waiting for whoever holds it; a warning says for whom.

    Args:
        path: the lock file; made if needed, never removed. It names its holder for people.
        what: what the holder does, such as "trains on this device".
        note: a line for `read_note`, there as long as the lock is held.

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
            _sign(descriptor, note)
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


def read_note(path: Path) -> str | None:
    """The note of whoever holds a lock file now; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        _, _, note = os.pread(descriptor, path.stat().st_size, 0).decode().partition("\n")
        return note.rstrip("\n")
    else:
        return None
    finally:
        os.close(descriptor)


def _sign(descriptor: int, note: str) -> None:
    """Write into a lock file who holds it, and since when."""
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    signature = f"process {os.getpid()} on {socket.gethostname()} since {since}\n{note}\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, signature.encode(), 0)


def _holder(descriptor: int, what: str) -> str:
    """Who holds a lock: "process 12 on studio (since ...), which trains on this device"."""
    signature = os.pread(descriptor, 400, 0).decode(errors="replace")
    match = re.match(r"process (\d+) on (\S+) since (.+)\n", signature)
    if match is None:  # it has just got hold of it
        return f"another process, which {what}"
    pid, host, since = match.groups()
    elsewhere = host != socket.gethostname()  # a folder that several machines mount
    whose = "" if elsewhere or _runs(int(pid)) else "what is left of "
    return f"{whose}process {pid} on {host} (since {since}), which {what}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
