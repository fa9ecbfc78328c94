"""`phraseldm promote`, `rollback` and `champion`: which registered model writes the songs."""

from pathlib import Path
from typing import Annotated

import typer

from flows.options import StoreOption


def promote(
    store: StoreOption = Path("store"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the table, and change nothing.")
    ] = False,
) -> None:
    """Make the candidate the champion if the gate accepts it; exit code 3 if it is refused."""
    from flows.measure import measure
    from tasks.promotion import commands

    outcome = commands.promotion(store, measure, dry_run=dry_run)
    typer.echo(outcome.text)
    if outcome.refused:
        raise typer.Exit(commands.REFUSED_CODE)


def rollback(store: StoreOption = Path("store")) -> None:
    """Make the champion before this one the champion again."""
    from tasks.promotion import commands

    typer.echo(commands.roll_back(store))


def champion(store: StoreOption = Path("store")) -> None:
    """Say which model is the champion, which one the candidate, and which ones were."""
    from tasks.promotion import commands

    typer.echo(commands.describe_champion(store))
