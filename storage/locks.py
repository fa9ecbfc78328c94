"""Locks between processes of one machine, freed by the kernel when their holder is gone."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.writing import translate_disk_errors

_logger = logging.getLogger(__name__)


@contextmanager
def hold_lock(path: Path, what: str) -> Iterator[int]:
    """Hold a lock file, waiting for whoever holds it.

    Args:
        path: the lock file; made if needed, never removed.
        what: what the holder does, for the log line of a process that waits.

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
            _logger.info("waiting for another process that %s", what)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        # Closed, not unlocked: an unlock would take the lock from a child that still works.
        os.close(descriptor)
