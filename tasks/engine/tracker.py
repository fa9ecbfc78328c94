"""Where a stage sends its figures, whoever keeps them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Where a stage sends figures, pictures and files."""

    @property
    def run_id(self) -> str | None:
        """Of the run that is written, if one is."""

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step."""

    def log_summary(self, meta: Mapping[str, Any]) -> None:
        """The stage's headline numbers."""

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """A file, shown under its name."""

    def log_folder(self, path: Path, folder: str) -> None:
        """All files of a folder."""


class NullTracker:
    """Tracks nothing."""

    run_id = None

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Ignore."""

    def log_summary(self, meta: Mapping[str, Any]) -> None:
        """Ignore."""

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Ignore."""

    def log_folder(self, path: Path, folder: str) -> None:
        """Ignore."""
