"""The pipeline as a flow of Prefect, whole or up to a part."""

from prefect import flow

from flows.road import Part, run_until
from tasks.engine.prefect_runs import Resumed, run_name
from tasks.launch import Request, launch
from tasks.settings.choices import EngineName, PresetName, SourceName, StageName
from tasks.settings.engines import NumWorkers


@flow(name="phrase-ldm", flow_run_name=run_name)
def pipeline(  # noqa: PLR0913, PLR0917 - a form has as many fields as it has
    preset: PresetName = "smoke",
    source: SourceName | None = None,
    data: str | None = None,
    store: str | None = None,
    overrides: dict[str, str] | None = None,
    refresh: list[StageName] | None = None,
    latent_dim: int | None = None,
    seed: int | None = None,
    num_workers: NumWorkers = None,
    engine: EngineName | None = None,
    until: Part = "metrics",
    resumed: Resumed = 0,  # noqa: ARG001 - names the run
) -> dict[str, str]:
    """Run the pipeline.

    Args:
        preset: smoke, demo, cpu, ablation, base or paper.
        source: a registered source of songs; the preset's own by default.
        data: folder that the source reads.
        store: where artifacts are: a folder, file:///folder or s3://bucket/prefix; by default what
            PHRASE_LDM_STORE names on the machine that runs it, else the folder "store".
        overrides: dotted settings, such as {"vae.num_queries": "8"}.
        refresh: stages to do again though nothing has changed.
        latent_dim: size of a phrase's latent, for experiments.
        seed: of every training and of generation, for experiments.
        num_workers: of data stages; a worker a core by default.
        engine: of data stages: processes, dask or ray; by default what PHRASELDM_ENGINE names on
            the machine that runs it, else processes.
        until: the last part to run; metrics is the end.
        resumed: how often the run was started again after its process had died.

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
        num_workers=num_workers,
        engine=engine,
    )
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        run_until(runner, launched, until)
    return launched.folders()
