"""A user of whom the system knows no home, as in containers under a number of their own."""

from pathlib import Path

import pytest


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the system nor the environment names a home."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
