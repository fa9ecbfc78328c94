"""Flows of models that are registered: retrained and promoted, evaluated, used for songs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.measure import measure
from flows.pipeline import pipeline
from tasks.engine.prefect_runs import Resumed, run_name
from tasks.music import songs
from tasks.promotion import commands
from tasks.settings.choices import PresetName, SourceName
from tasks.store_address import asked_store

Alias = Literal["champion", "candidate"]


@flow(name="promote")
def promote(store: str | None = None, *, dry_run: bool = False) -> State[Any]:
    """Let the candidate through the gate, or refuse it, which is no failure.

    Args:
        store: as of the pipeline.
        dry_run: whether only the table is made.

    Returns:
        A state *Promoted*, or *Refused* with the reasons.
    """
    return _through_the_gate(store, dry_run=dry_run)


def _through_the_gate(store: str | None, *, dry_run: bool = False) -> State[Any]:
    """The state of the flow that asks: the state of another flow would lose its name."""
    outcome = commands.promotion(asked_store(store), measure, dry_run=dry_run)
    create_markdown_artifact(outcome.text, key="gate", description="Verdict of the gate")
    sentence = outcome.text.splitlines()[0]
    return Completed(name="Refused" if outcome.refused else "Promoted", message=sentence)


@flow(name="retrain", flow_run_name=run_name)
def retrain(
    preset: PresetName = "base",
    source: SourceName | None = None,
    data: str | None = None,
    store: str | None = None,
    overrides: dict[str, str] | None = None,
    resumed: Resumed = 0,  # noqa: ARG001 - counted by the server
) -> State[Any]:
    """Run the pipeline and promote what it trained, through the gate alone.

    Args:
        preset: smoke, demo, cpu, ablation, base or paper.
        source: a registered source of songs; the preset's own by default.
        data: folder that the source reads.
        store: as of the pipeline.
        overrides: dotted settings, such as {"vae.num_queries": "8"}.
        resumed: how often the run was started again after its process had died.

    Returns:
        As `promote`.
    """
    pipeline(preset=preset, source=source, data=data, store=store, overrides=overrides)
    return _through_the_gate(store)


@flow(name="evaluate")
def evaluate(
    store: str | None = None,
    model: Alias = "champion",
    resumed: Resumed = 0,  # noqa: ARG001 - counted by the server
) -> str:
    """Measure a registered model as the program does it now.

    Args:
        store: as of the pipeline.
        model: which one.
        resumed: how often the run was started again after its process had died.

    Returns:
        Its metrics beside those of real songs.
    """
    table = commands.measure_alias(asked_store(store), model, measure)
    create_markdown_artifact(table, key="metrics", description=f"Metrics of the {model}")
    return table


@flow(name="generate-batch")
def generate_batch(
    store: str | None = None,
    model: Alias = "champion",
    num_songs: int = 20,
    seed: int = 0,
    sections: str | None = None,
    num_bars: int | None = None,
    output: str | None = None,
    resumed: Resumed = 0,  # noqa: ARG001 - counted by the server
) -> str:
    """Write songs with a registered model.

    Args:
        store: as of the pipeline.
        model: which one.
        num_songs: songs 0, 1, ... of the seed.
        seed: of all songs.
        sections: layout such as "i4 A8 B8 o2", open by default.
        num_bars: length of each, open by default.
        output: folder for the songs; one of the store by default.
        resumed: how often the run was started again after its process had died.

    Returns:
        The folder.
    """
    named = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-seed{seed}"
    root = asked_store(store)
    folder = Path(output) if output else root / "batches" / named
    songs.generate(
        root,
        folder,
        model=Path(model),
        num_songs=num_songs,
        seed=seed,
        sections=sections,
        num_bars=num_bars,
    )
    return str(folder)
