"""What a person at the terminal sees of a run under way."""

import time

from rich.console import Console
from rich.status import Status

from tasks.engine.stage import Stage, StageResult

QUIET_SECONDS = 60.0
"""Between lines where the output is a file."""


class ConsoleProgress:
    """A line that moves while a stage works, and one that stays when it is done."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.status: Status | None = None
        self.printed = time.monotonic()

    def show(self, name: str, share: float, words: str) -> None:
        """Progress of a stage."""
        text = f"{name}: {share:.0%}, {words}"
        if self.console.is_terminal:
            if self.status is None:
                self.status = self.console.status(text)
                self.status.start()
            self.status.update(text)
        elif time.monotonic() - self.printed > QUIET_SECONDS:
            self.printed = time.monotonic()
            self.console.print(text, soft_wrap=True)

    def finished(self, stage: Stage, result: StageResult) -> None:
        """The end of a stage."""
        self.stop()
        how = "cached" if result.cached else f"done in {result.seconds:.1f} s"
        self.console.print(f"{stage.name}: {how}", soft_wrap=True)

    def stop(self) -> None:
        """Take the moving line away."""
        if self.status is not None:
            self.status.stop()
            self.status = None
