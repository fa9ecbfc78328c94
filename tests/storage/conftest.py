"""Builders of stores and artifacts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.artifacts import ArtifactRef, ArtifactStore
from storage.fingerprint import digest_json


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def key() -> str:
    return digest_json("a key")


@pytest.fixture
def build(store: ArtifactStore) -> Callable[..., ArtifactRef]:
    """Commit an artifact whose files are given as path to text."""

    def build_artifact(stage: str, key: str, files: dict[str, str], **parts) -> ArtifactRef:
        work = store.work(stage, key)
        for name, text in files.items():
            path = work.output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        defaults = {"config": {}, "inputs": {}, "code": {}, "version": 1, "meta": {}}
        return store.commit(stage, key, **(defaults | parts))

    return build_artifact
