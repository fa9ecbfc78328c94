"""`phraseldm store`: what a store holds, whether it is sound, and making room."""

from pathlib import Path
from typing import Annotated

import typer

from flows.options import StoreOption
from tasks.command_line import CheckedGroup, CommandLine

store_app = CommandLine(
    cls=CheckedGroup,
    no_args_is_help=True,
    help="List, verify, clear and share the artifacts of a store.",
)
KeyArgument = Annotated[str, typer.Argument(help="Key of an artifact, or its first letters.")]


@store_app.command("ls")
def list_command(store: StoreOption = Path("store")) -> None:
    """List the artifacts: stage, key, size, age, and why they are kept if they are."""
    from tasks.store_commands import list_artifacts

    typer.echo(list_artifacts(store))


@store_app.command("show")
def show_command(key: KeyArgument, store: StoreOption = Path("store")) -> None:
    """Print what an artifact is, what it was made of and what was made of it."""
    from tasks.store_commands import show_artifact

    typer.echo(show_artifact(store, key))


@store_app.command("verify")
def verify_command(
    keys: Annotated[
        list[str] | None, typer.Argument(help="Keys of artifacts; all of them by default.")
    ] = None,
    store: StoreOption = Path("store"),
) -> None:
    """Read every file and compare it with its digest; exit code 2 if one is damaged."""
    from tasks.store_commands import verify_artifacts

    typer.echo(verify_artifacts(store, keys or [], typer.echo))


@store_app.command("gc")
def clear_command(
    store: StoreOption = Path("store"),
    last: Annotated[
        int, typer.Option(min=1, max=10_000, help="Artifacts of each stage that stay at least.")
    ] = 3,
    delete: Annotated[
        bool, typer.Option("--delete/--dry-run", help="Remove, or only say what would go.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Only this machine's copies of a shared store.")
    ] = False,
) -> None:
    """Remove what is not of a champion, pinned, recent or needed by one of these."""
    from tasks.store_commands import clear_store

    typer.echo(clear_store(store, last=last, delete=delete, cache=cache))


@store_app.command("sync")
def sync_command(
    store: StoreOption = Path("store"),
    pull: Annotated[
        bool, typer.Option("--pull", help="Fetch all that this machine lacks, instead.")
    ] = False,
) -> None:
    """Publish artifacts that only this machine has to a shared store, such as after an outage."""
    from tasks.store_commands import sync_store

    typer.echo(sync_store(store, pull=pull))


@store_app.command("pin")
def pin_command(
    key: KeyArgument,
    why: Annotated[str, typer.Option(help="Reason, shown by ls.")] = "pinned",
    store: StoreOption = Path("store"),
) -> None:
    """Have `gc` keep an artifact, with all that it was made of."""
    from tasks.store_commands import pin_artifact

    typer.echo(pin_artifact(store, key, why))


@store_app.command("unpin")
def unpin_command(key: KeyArgument, store: StoreOption = Path("store")) -> None:
    """Take `pin` back."""
    from tasks.store_commands import unpin_artifact

    typer.echo(unpin_artifact(store, key))
