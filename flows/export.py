"""`phraseldm export`: a trained model, or the songs, as a folder of its own."""

from pathlib import Path
from typing import Annotated

import typer

from flows.options import DataOption, ForceOption, PrecisionOption, StoreOption, WorkersOption
from tasks.command_line import CheckedGroup, CommandLine
from tasks.settings.sources import SOURCE_NAMES

export_app = CommandLine(
    cls=CheckedGroup, no_args_is_help=True, help="Write a trained model, or the songs, as a folder."
)


@export_app.command("vae")
def export_vae(
    folder: Annotated[Path, typer.Argument(help="Folder for weights, configuration and card.")],
    store: StoreOption = Path("store"),
    precision: PrecisionOption = "bf16",
    force: ForceOption = False,
) -> None:
    """Write the PhraseVAE trained last in a store as a folder to give away."""
    from tasks.reports.release import check_precision
    from tasks.reports.vae_release import export_vae as export

    typer.echo(export(store, folder, check_precision(precision), force=force))


@export_app.command("ldm")
def export_ldm(
    folder: Annotated[Path, typer.Argument(help="Folder for both models and their card.")],
    store: StoreOption = Path("store"),
    precision: PrecisionOption = "bf16",
    force: ForceOption = False,
) -> None:
    """Write PhraseLDM and PhraseVAE of a store's newest run as a folder to give away."""
    from tasks.reports.ldm_release import export_ldm as export
    from tasks.reports.release import check_precision

    typer.echo(export(store, folder, check_precision(precision), force=force))


@export_app.command("binomial")
def export_binomial(
    folder: Annotated[Path, typer.Argument(help="Folder for the model and its card.")],
    store: StoreOption = Path("store"),
    precision: PrecisionOption = "bf16",
    force: ForceOption = False,
) -> None:
    """Write the binomial diffusion trained last in a store as a folder to give away."""
    from tasks.reports.binomial_release import export_binomial as export
    from tasks.reports.release import check_precision

    typer.echo(export(store, folder, check_precision(precision), force=force))


@export_app.command("midi")
def export_midi(
    folder: Annotated[Path, typer.Argument(help="Folder for the MIDI files, one a song.")],
    store: StoreOption = Path("store"),
    source: Annotated[
        str | None,
        typer.Option(help=f"{SOURCE_NAMES}: ingested first, instead of the store's newest songs."),
    ] = None,
    data: DataOption = None,
    workers: WorkersOption = None,
    force: ForceOption = False,
) -> None:
    """Write the ingested songs as aligned MIDI files with tempo, key and sections.

    Aligned: 4/4 throughout, bar 1 begins at tick 0, notes on a grid of 48 places a bar, tracks
    named Melody, Bridge and Piano.
    """
    from tasks.music import corpus_midi

    corpus_midi.check_corpus_folder(folder, force=force)
    songs = None
    if source or data:
        from flows.road import prepare as prepare_corpus
        from tasks import commands

        launched = commands.launch_run(
            "demo", source or "pop909", data, store, workers=workers, orchestrated=False
        )
        with launched.running() as runner:
            songs = prepare_corpus(runner, launched).songs
    typer.echo(corpus_midi.export_corpus(store, folder, songs))
