"""Runs of flows under Prefect: how they are named, where they work, and how often they go on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from prefect.runtime import flow_run
from pydantic import Field

from phrase_models.errors import ConfigurationError

HOME = "PHRASE_LDM_HOME"
MAX_RESUMES = 2
Resumed = Annotated[int, Field(ge=0, le=MAX_RESUMES)]
"""How often a run was started again after its process had died, which `automations.yaml` does; the
server refuses what is more."""


def enter_home() -> dict[str, str]:
    """A pull step: go to the folder of this worker in which relative stores and data lie.

    Returns:
        The folder, as Prefect's own steps do.

    Raises:
        ConfigurationError: if the worker names none, or none that is there.
    """
    home = os.environ.get(HOME)
    if not home or not Path(home).is_dir():
        named = f"{HOME}={home} is no folder" if home else f"{HOME} is not set"
        message = (
            f"{named} on this worker: set it to the folder in which stores and data lie, "
            "and start the worker again."
        )
        raise ConfigurationError(message)
    os.chdir(home)
    return {"directory": home}


def deployed_run() -> str | None:
    """The id of the run that a worker works on, be this a run below it; None where none does."""
    return os.environ.get("PREFECT__FLOW_RUN_ID")


def run_name() -> str:
    """Preset, latent size and seed of the flow run that begins, where they are asked for."""
    return words_of_request(flow_run.parameters)


def words_of_request(parameters: Mapping[str, Any]) -> str:
    """{"preset": "cpu", "latent_dim": 32, "seed": 3} -> "cpu, latent 32, seed 3"."""
    overrides = parameters.get("overrides") or {}
    asked = {
        "latent": parameters.get("latent_dim") or overrides.get("vae.latent_dim"),
        "seed": overrides.get("seed") if parameters.get("seed") is None else parameters["seed"],
        "resumed": parameters.get("resumed") or None,
    }
    words = [f"{name} {value}" for name, value in asked.items() if value is not None]
    return ", ".join([str(parameters.get("preset", "smoke")), *words])
