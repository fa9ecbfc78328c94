"""The same training under different settings; stages that do not differ are shared."""

from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.road import prepare, run_until, train_phrase_vae, train_up_to_autoencoder
from tasks.engine.prefect_runs import Resumed
from tasks.engine.stage import StageRunner
from tasks.launch import Launch, Request
from tasks.reports.sweep import SweepPoint, Until, finish_sweep, sweep_points, sweep_table


def run_sweep(points: Sequence[SweepPoint], until: Until) -> list[dict[str, Any]]:
    """Train every point, one after the other; returns their figures."""
    for point in points:
        _run_point(point, until)
    return finish_sweep(points, until)


def _run_point(point: SweepPoint, until: Until) -> None:
    with point.launched.running() as runner:
        _run_stages(runner, point.launched, until)


def _run_stages(runner: StageRunner, launched: Launch, until: Until) -> None:
    if until == "metrics":
        run_until(runner, launched, "metrics")
        return
    train = train_phrase_vae if until == "vae" else train_up_to_autoencoder
    train(runner, launched, prepare(runner, launched))


@flow(name="sweep")
def sweep(
    request: Request,
    over: dict[str, list[str]],
    until: Until = "vae",
    resumed: Resumed = 0,  # noqa: ARG001 - counted by the server
) -> list[dict[str, Any]]:
    """Train once for each combination of settings, in a run of its own below this one.

    Args:
        request: what all of them have in common.
        over: values by dotted setting, such as {"vae.latent_dim": ["16", "32", "64"]}.
        until: "vae" for the whole of PhraseVAE, "autoencoder" for the stages before its VAE,
            "metrics" for diffusion, songs and their metrics, too.
        resumed: how often the run was started again after its process had died.

    Returns:
        Of each point its name and its figures.
    """
    points = sweep_points(request, over, orchestrated=True)
    for point in points:
        _child_run(point, until)
    rows = finish_sweep(points, until)
    table = sweep_table(rows)
    create_markdown_artifact(f"```\n{table}\n```", key="sweep", description="Every point's figures")
    return rows


def _child_run(point: SweepPoint, until: Until) -> None:
    # The point stays in this closure: Prefect would record it as a parameter.
    @flow(name="sweep-point", flow_run_name=point.name)
    def run_point() -> None:
        _run_point(point, until)

    run_point()
