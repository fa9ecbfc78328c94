"""Options that several commands share, and what they all do with them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tasks.settings.sources import SOURCE_NAMES


def _store_folder(address: object) -> Path:
    from tasks.store_address import asked_store

    return asked_store(str(address))


StoreOption = Annotated[
    Path,
    typer.Option(
        parser=_store_folder,
        metavar="PATH or URL",
        envvar="PHRASE_LDM_STORE",
        help="Where artifacts are: a folder, or s3://bucket/prefix to share them.",
    ),
]
VAEOption = Annotated[
    Path | None, typer.Option(help="Folder of a PhraseVAE, instead of the store's newest.")
]
RefineOption = Annotated[
    bool, typer.Option(help="Improve latents of phrases that do not come back.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Folder that the source reads, such as `phraseldm fetch` makes."),
]
SourceOption = Annotated[
    str | None, typer.Option(help=f"{SOURCE_NAMES}; the preset's own by default.")
]
PresetOption = Annotated[str, typer.Option(help="smoke, demo, cpu, ablation, base or paper.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="TRACK=ROLE, such as 'Track 3=melody' or 'Strings=none'; that role is then held by "
        "no other track; may be repeated.",
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of a release, champion or candidate; the store's newest models by default. "
        "Songs alone are also written by binomial."
    ),
]
StepsOption = Annotated[int | None, typer.Option(min=1, max=1000, help="Sampling steps.")]
SecondPassOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Share of the noise from which a song, decoded and encoded again, is denoised once "
        "more; 0 is off.",
    ),
]
GuidanceOption = Annotated[float | None, typer.Option(min=0, max=100, help="Guidance scale.")]
ListTracksOption = Annotated[
    bool, typer.Option("--list-tracks", help="Only say what would become of each track.")
]
PrecisionOption = Annotated[str, typer.Option(help="bf16 or fp32.")]
WorkersOption = Annotated[int | None, typer.Option(min=1, max=256, help="Workers of data stages.")]


EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="Of data stages: processes (the default), dask or ray; as PHRASELDM_ENGINE.",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there already.")]


def check_servers(*, orchestrated: bool) -> None:
    """Before anything heavy is imported: the servers that the environment names answer.

    Raises:
        ServiceUnreachable: if one does not.
    """
    from tasks.engine.runtime import tracking_wanted
    from tasks.engine.services import check_named_servers

    check_named_servers(tracked=tracking_wanted(), orchestrated=orchestrated)


def print_tracks(files: list[Path], role_map: list[str] | None) -> None:
    """What `--list-tracks` asks for."""
    from tasks.music import reading

    typer.echo(reading.list_tracks(files, role_map or ()))


def use_sleeping_threads() -> None:
    """Have threads sleep while they wait, which is read when torch is loaded.

    Beside other programs, threads that spin made a song take 16 s where those that sleep take 1.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def required(output: Path | None) -> Path:
    """An output that only `--list-tracks` does without.

    Raises:
        BadParameter: if it is missing.
    """
    if output is None:
        message = "it is missing; name what shall be written"
        raise typer.BadParameter(message, param_hint="'--output' / '-o'")
    return output
