"""The whole road: annotated songs -> tables -> PhraseVAE -> latents -> PhraseLDM -> metrics.

Start reading here. Each step is a flow of its own beside this file; each stage behind it is cached
by what it is made of, so running this again does only what has changed.
"""

from prefect import flow

from flows.evaluate_songs import evaluate
from flows.generate_songs import generate
from flows.prepare_data import prepare
from flows.train_diffusion import train_models
from tasks.engine.stage import StageRunner
from tasks.launch import Launch, Request, launch


def run_pipeline(runner: StageRunner, launched: Launch) -> None:
    """Every stage in order; the runner remembers what each one left."""
    launched.config.require_phrases()
    corpus = prepare(runner, launched)
    models = train_models(runner, launched, corpus)
    songs = generate(runner, launched, corpus, models)
    evaluate(runner, launched, corpus, models, songs)


@flow(name="phrase-ldm")
def pipeline(
    preset: str = "smoke",
    source: str | None = None,
    data: str | None = None,
    store: str = "store",
    overrides: dict[str, str] | None = None,
    refresh: list[str] | None = None,
    latent_dim: int | None = None,
    seed: int | None = None,
) -> dict[str, str]:
    """Run the whole pipeline.

    Args:
        preset: smoke, demo, cpu, ablation, base or paper.
        source: synthetic or pop909; the preset's own by default.
        data: folder that holds the two POP909 checkouts.
        store: folder of artifacts, MLflow and Prefect.
        overrides: dotted settings, such as {"vae.num_queries": "8"}.
        refresh: stages to do again though nothing has changed.
        latent_dim: size of a phrase's latent, for experiments.
        seed: of every training and of generation, for experiments.

    Returns:
        Folder of every stage's artifact.
    """
    request = Request(
        preset=preset,
        source=source,
        data=data,
        store=store,
        overrides=overrides or {},
        refresh=refresh or [],
        latent_dim=latent_dim,
        seed=seed,
    )
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        run_pipeline(runner, launched)
    return launched.folders()
