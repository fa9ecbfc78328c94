"""Promotion, rollback and measuring of registered models, for commands and flows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from storage.artifacts import ArtifactRef
from storage.opening import existing_store
from tasks.engine.model_registry import ModelVersion
from tasks.engine.stage import StageRunner
from tasks.promotion import champions
from tasks.promotion.champions import Outcome, open_registry
from tasks.promotion.gate import Measured
from tasks.promotion.measuring import Measurable, measurable, measuring, read_measured

REFUSED_CODE = 3
"""Exit code of a candidate that the gate refuses."""
Compose = Callable[[StageRunner, Measurable], tuple[ArtifactRef, ArtifactRef]]
"""The stages that measure a model, in order; returns what the last two measurements left."""


def promotion(store: Path, compose: Compose, *, dry_run: bool = False) -> Outcome:
    """Measure the candidate beside the champion, and promote or refuse it.

    Args:
        store: that holds both models.
        compose: the stages that measure.
        dry_run: whether nothing is written into the registry.

    Raises:
        ServiceUnreachable: if MLflow does not answer.
        StorageError: if there is no candidate, or the store lacks an artifact.
    """
    artifacts = existing_store(store)
    registry = open_registry(store)
    with measuring(store) as runner:

        def measure(version: ModelVersion, like: ModelVersion | None) -> Measured:
            model = measurable(artifacts, version, like)
            return read_measured(artifacts, model.name, *compose(runner, model))

        return champions.promote(registry, measure, dry_run=dry_run)


def roll_back(store: Path) -> str:
    """Make the champion before this one the champion again; see `champions.rollback`."""
    existing_store(store)
    return champions.rollback(open_registry(store))


def describe_champion(store: Path) -> str:
    """The champion, the candidate, and who was champion when."""
    existing_store(store)
    return champions.describe(open_registry(store))


def measure_alias(store: Path, alias: str, compose: Compose) -> str:
    """Measure a registered model as the program does it now; its table of metrics."""
    artifacts = existing_store(store)
    version = champions.version_of(store, alias)
    with measuring(store) as runner:
        _, evaluated = compose(runner, measurable(artifacts, version))
    table = artifacts.read_bytes(evaluated, "metrics.md").decode()
    return f"Version {version.number} of {version.name} ({alias})\n\n{table}"
