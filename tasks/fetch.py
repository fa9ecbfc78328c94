"""Cloning the repositories that a source reads, at the commits this program was built on."""

import shutil
import subprocess
from pathlib import Path

from phrase_models.errors import ConfigurationError
from phrase_models.sources.registry import find_source


def fetch_source(name: str, folder: Path) -> list[str]:
    """Clone the repositories that a source reads; one that is there already is left as it is.

    Args:
        name: of the source.
        folder: gets a folder for each; what `--data` names.

    Returns:
        A line about each.

    Raises:
        ConfigurationError: for a source that reads none, without git, or where a clone fails, with
            what to do instead.
    """
    checkouts = find_source(name).checkouts
    if not checkouts:
        message = f"Source {name} reads no repository, so there is nothing to clone."
        raise ConfigurationError(message)
    if shutil.which("git") is None:
        message = "Cloning needs git; install it, or copy the checkouts by hand."
        raise ConfigurationError(message)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for folder_name, checkout in checkouts.items():
        target = folder / folder_name
        if target.exists():
            lines.append(f"{target} is there already")
            continue
        aside = folder / f"{folder_name}.part"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            _git("clone", "--quiet", checkout.address, str(aside))
            _git("-C", str(aside), "checkout", "--quiet", checkout.commit)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(aside, ignore_errors=True)
            reason = (error.stderr or "").strip().splitlines()[-1:] or ["no reason given"]
            message = (
                f"Cloning {checkout.address} failed ({reason[0]}); without a network, copy a "
                f"checkout of it to {target} by hand."
            )
            raise ConfigurationError(message) from error
        aside.rename(target)
        lines.append(f"{target} cloned at {checkout.commit[:12]}")
    return lines


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
