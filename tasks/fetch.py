"""Cloning the two upstream repositories of POP909, at the commits this program was built on."""

import shutil
import subprocess
from pathlib import Path

from phrase_models.errors import ConfigurationError

CHECKOUTS = {
    "POP909-Dataset": (
        "https://github.com/music-x-lab/POP909-Dataset",
        "d83e6edba6872a704f5d3b8b32f5cb540088dae6",
    ),
    "hierarchical-structure-analysis": (
        "https://github.com/Dsqvival/hierarchical-structure-analysis",
        "939ff9f9b8e9eae4207befb827b690f6cd3ea814",
    ),
}


def fetch_pop909(folder: Path) -> list[str]:
    """Clone both repositories into a folder; one that is there already is left as it is.

    Returns:
        A line about each.

    Raises:
        ConfigurationError: without git, or where a clone fails, with what to do instead.
    """
    if shutil.which("git") is None:
        message = "Cloning POP909 needs git; install it, or copy both checkouts by hand."
        raise ConfigurationError(message)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, (address, commit) in CHECKOUTS.items():
        target = folder / name
        if target.exists():
            lines.append(f"{target} is there already")
            continue
        aside = folder / f"{name}.part"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            _git("clone", "--quiet", address, str(aside))
            _git("-C", str(aside), "checkout", "--quiet", commit)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(aside, ignore_errors=True)
            reason = (error.stderr or "").strip().splitlines()[-1:] or ["no reason given"]
            message = (
                f"Cloning {address} failed ({reason[0]}); without a network, copy a checkout "
                f"of it to {target} by hand."
            )
            raise ConfigurationError(message) from error
        aside.rename(target)
        lines.append(f"{target} cloned at {commit[:12]}")
    return lines


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
