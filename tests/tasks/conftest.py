"""Stages that need no model, and an MLflow database that is made once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.artifacts import ArtifactStore


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory) -> Path:
    """An empty MLflow database; making its tables takes seconds."""
    from tasks.tracking import open_client

    store = tmp_path_factory.mktemp("mlflow")
    open_client(store).search_experiments()
    return store / "mlflow" / "mlflow.db"


@pytest.fixture
def tracked_store(tmp_path, migrated_database, monkeypatch) -> ArtifactStore:
    """A store whose MLflow database has its tables."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "store" / "mlflow"
    folder.mkdir(parents=True)
    shutil.copy(migrated_database, folder / "mlflow.db")
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def metric_steps() -> Callable[..., list[tuple[int, float]]]:
    """(step, value) of every point of a metric of an MLflow run."""

    def read(client, run_id: str, name: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]

    return read
