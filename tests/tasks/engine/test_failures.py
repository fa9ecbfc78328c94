"""What is tried again passes by itself, and nothing else is."""

import errno

import pytest

from phrase_models.errors import ConfigurationError, DivergedError
from storage.errors import StorageError, StoreRefused, StoreUnreachable
from tasks.engine.failures import ProcessEnded, passes_by_itself


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ProcessEnded("training was ended by signal 9 (SIGKILL)"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (OSError(errno.ESTALE, "stale file handle"), True),
        (caused(RuntimeError("upload"), ConnectionRefusedError()), True),
        (OSError(errno.ENOSPC, "no space left on device"), False),
        (PermissionError(errno.EACCES, "denied"), False),
        (ConfigurationError("There is no preset 'x'."), False),
        (DivergedError(2, "loss is nan"), False),
        (StorageError("damaged"), False),
        (StoreUnreachable("does not answer"), True),
        (caused(RuntimeError("download"), StoreUnreachable("does not answer")), True),
        (StoreRefused("refuses access"), False),
        (MemoryError(), False),
    ],
)
def test_what_passes_by_itself(error, passes):
    assert passes_by_itself(error) is passes
