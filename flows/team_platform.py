"""`phraseldm platform`: servers, store, deployments and a worker on this computer alone."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.command_line import CheckedGroup, CommandLine

platform_app = CommandLine(cls=CheckedGroup)


def _port(what: str) -> typer.models.OptionInfo:
    return typer.Option(min=1, max=65_535, help=f"Port of {what}.")


@platform_app.command()
def platform(
    folder: Annotated[
        Path, typer.Option(help="Folder for databases, logs and the worker's working store.")
    ] = Path("platform"),
    home: Annotated[
        Path,
        typer.Option(envvar="PHRASE_LDM_HOME", help="Folder in which the worker finds data."),
    ] = Path(),
    store: Annotated[
        str | None,
        typer.Option(help="Store that is there already; else an S3 server in memory, for trials."),
    ] = None,
    prefect_port: Annotated[int, _port("Prefect")] = 4200,
    mlflow_port: Annotated[int, _port("MLflow")] = 5055,
    s3_port: Annotated[int, _port("the S3 server")] = 9000,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Whether runs are worked on here, too.")
    ] = True,
) -> None:
    """Start Prefect, MLflow, a store and a worker on this computer, until Ctrl-C."""
    from tasks.team_platform.settings import PlatformSettings
    from tasks.team_platform.start import run_platform

    settings = PlatformSettings(
        folder.resolve(),
        home.resolve(),
        prefect_port=prefect_port,
        mlflow_port=mlflow_port,
        s3_port=s3_port,
        store=store,
        with_worker=worker,
    )
    run_platform(settings, typer.echo)
