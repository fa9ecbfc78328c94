"""Builders and folders shared by the tests."""

import os
from pathlib import Path

import pytest

DATA_CANDIDATES = (
    os.environ.get("PHRASELDM_TEST_DATA", ""),
    str(Path(__file__).resolve().parents[2] / "shared" / "data"),
)


@pytest.fixture(scope="session")
def pop909_root() -> Path:
    """The folder that holds both checkouts and the golden files."""
    for candidate in DATA_CANDIDATES:
        if candidate and (Path(candidate) / "POP909-Dataset").is_dir():
            return Path(candidate)
    pytest.skip(
        "POP909 is not here: put both checkouts into ../shared/data or name their folder "
        "in PHRASELDM_TEST_DATA"
    )
