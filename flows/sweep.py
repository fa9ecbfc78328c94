"""The same training under different settings; stages that do not differ are shared."""

from collections.abc import Sequence
from typing import Any

from prefect import flow

from flows.road import prepare, run_until, train_phrase_vae, train_up_to_autoencoder
from tasks.engine.stage import StageRunner
from tasks.launch import Launch, Request
from tasks.reports.sweep import SweepPoint, Until, finish_sweep, sweep_points


def run_sweep(points: Sequence[SweepPoint], until: Until) -> list[dict[str, Any]]:
    """Train every point, one after the other; returns their figures."""
    for point in points:
        with point.launched.running() as runner:
            _run_point(runner, point.launched, until)
    return finish_sweep(points, until)


def _run_point(runner: StageRunner, launched: Launch, until: Until) -> None:
    if until == "metrics":
        run_until(runner, launched, "metrics")
        return
    train = train_phrase_vae if until == "vae" else train_up_to_autoencoder
    train(runner, launched, prepare(runner, launched))


@flow(name="sweep")
def sweep(
    request: Request, over: dict[str, list[str]], until: Until = "vae"
) -> list[dict[str, Any]]:
    """Train once for each combination of settings.

    Args:
        request: what all of them have in common.
        over: values by dotted setting, such as {"vae.latent_dim": ["16", "32", "64"]}.
        until: "vae" for the whole of PhraseVAE, "autoencoder" for the stages before its VAE,
            "metrics" for diffusion, songs and their metrics, too.

    Returns:
        Of each point its name and its figures.
    """
    return run_sweep(sweep_points(request, over, orchestrated=True), until)
