"""Ctrl-C and SIGTERM at a command line: one sentence, and an end within seconds."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE_SECONDS = 3.5
"""For closing what is open, such as a run of MLflow, whose server may be gone."""
LEAVING_SECONDS = 1.0
"""For what libraries do when the interpreter ends."""
AGAIN_SECONDS = 0.05
ADVICE = "Stopped: what was finished is kept, run the same command to go on."


class Stopped(BaseException):
    """A person, or the system, asked the command to end; the message says what is kept.

    Neither an Exception, which bodies of stages may catch, nor a KeyboardInterrupt, which typer
    would end without a word.
    """


@contextmanager
def ending_when_asked() -> Iterator[None]:
    """Raise `Stopped` inside at SIGINT and SIGTERM, and end by exit code 130 or 143.

    What closes slowly is given up after a few seconds; child processes end with their parent.
    """
    ending = _Ending()
    try:
        ending.watch()  # a signal may come at once
        yield
    except BaseException as error:
        if ending.number is None:
            raise
        ending.tell(str(error) if isinstance(error, Stopped) else ADVICE)
        sys.exit(128 + ending.number)


def end_in_own_time() -> None:
    """From now on the end that a signal asks for is waited for, however long it lasts.

    For a command that ends processes of others in order, each within bounds of its own.
    """
    signal.set_wakeup_fd(-1)


class _Ending:
    """The end of this process, once a signal asks for it.

    Attributes:
        number: of the signal.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.told = threading.Event()
        self.reading, self.writing = os.pipe()

    def watch(self) -> None:
        """Look for the signals from now on.

        Prefect takes SIGTERM over while a flow runs, so they are seen from a pipe too, into which
        Python writes them whoever handles them.
        """
        os.set_blocking(self.writing, False)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as a shell's background jobs have it
                signal.signal(number, self.stop)
        signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        threading.Thread(target=self.give_up, daemon=True).start()
        sys.unraisablehook = self.ask_again
        atexit.register(self.leave)  # before all others, so that it is called after them

    def tell(self, words: str) -> None:
        """Say once how it ends."""
        if not self.told.is_set():
            self.told.set()
            sys.stderr.write(f"{words}\n")
            sys.stderr.flush()

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal; a second one does not disturb what is being closed."""
        if self.number is None:
            self.number = number
            raise Stopped(ADVICE)

    def ask_again(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Where Python swallows an exception, as in a destructor, the signal would be lost."""
        if self.number is None or not isinstance(unraisable.exc_value, Stopped):
            sys.__unraisablehook__(unraisable)
            return
        again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), self.number))
        self.number = None
        again.start()

    def give_up(self) -> None:
        """End the process some seconds after a signal, whatever it does."""
        number = 0
        while number not in SIGNALS:
            number = os.read(self.reading, 1)[0]
        if self.told.wait(PATIENCE_SECONDS):
            time.sleep(LEAVING_SECONDS)
        self.tell(ADVICE)
        os._exit(128 + number)

    def leave(self) -> None:
        """End the process without taking the interpreter apart, which lasts seconds."""
        if self.number is not None:
            sys.stdout.flush()
            os._exit(128 + self.number)
