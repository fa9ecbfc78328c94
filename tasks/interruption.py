"""Ctrl-C and SIGTERM at a command line: one sentence, and an end within seconds."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE_SECONDS = 3.5
"""For closing what is open, such as a run of MLflow, whose server may be gone."""
LEAVING_SECONDS = 1.0
"""For what libraries do when the interpreter ends; some threads of Prefect's never do."""
ADVICE = "what was finished is kept, run the same command to go on."


class Stopped(BaseException):
    """A person, or the system, asked the command to end; the message says what is kept.

    Neither an Exception, which bodies of stages may catch, nor a KeyboardInterrupt, which typer
    would end without a word.
    """


@contextmanager
def ending_when_asked() -> Iterator[None]:
    """Raise `Stopped` inside at SIGINT and SIGTERM, and end by exit code 130 or 143.

    What closes slowly is given up after a few seconds; child processes end with their parent.
    Prefect takes SIGTERM over while a flow runs, so the signals are seen from a pipe too, which
    Python writes to whoever handles them.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received: list[int] = []
    told = threading.Event()

    def tell(words: str) -> None:
        if not told.is_set():
            told.set()
            sys.stderr.write(f"{words}\n")
            sys.stderr.flush()

    def give_up() -> None:
        number = next(
            byte for byte in iter(lambda: os.read(reading, 1)[0], None) if byte in SIGNALS
        )
        if told.wait(PATIENCE_SECONDS):
            time.sleep(LEAVING_SECONDS)
        tell(f"Stopped: {ADVICE}")
        os._exit(128 + number)

    def stop(number: int, _frame: object) -> None:
        if received:  # asked twice: what is being closed may go on closing
            return
        received.append(number)
        raise Stopped(f"Stopped: {ADVICE}")

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as a shell's background jobs have it
            signal.signal(number, stop)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=give_up, daemon=True).start()
    try:
        yield
    except BaseException as error:
        if not received:
            raise
        stopped = error if isinstance(error, Stopped) else Stopped(f"Stopped: {ADVICE}")
        tell(str(stopped))
        sys.exit(128 + received[0])
