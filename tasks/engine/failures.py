"""Which failures of a stage pass by themselves, so that trying again is worth while."""

import errno

from storage.errors import StoreUnreachable

PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.EIO,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""Errors of disks and networks that are away for a while; a full disk is none of them."""
RETRY_SECONDS = (10.0, 60.0)
"""Before the second and the third try."""


class ProcessEnded(RuntimeError):  # noqa: N818 - named for what happened
    """A process that did the work was ended from outside, for want of memory for example.

    It goes on from what it left, such as the last checkpoint of a training.
    """


def passes_by_itself(error: BaseException) -> bool:
    """Whether it, or what it came from, is a failure of the surroundings for a while."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ProcessEnded | StoreUnreachable | TimeoutError | ConnectionError):
            return True
        if isinstance(found, OSError) and found.errno in PASSING:
            return True
        found = found.__cause__
    return False
