"""Engines that work on the shards of data stages, by name, and what they need."""

import os
from importlib.util import find_spec
from typing import Annotated, Literal, get_args

from pydantic import Field

from phrase_models.errors import ConfigurationError

KnownEngine = Literal["processes", "dask", "ray"]
ENGINES: tuple[KnownEngine, ...] = get_args(KnownEngine)
NumWorkers = Annotated[int | None, Field(ge=1, le=256)]
ENGINE_VARIABLE, ADDRESS_VARIABLE = "PHRASELDM_ENGINE", "PHRASELDM_ENGINE_ADDRESS"
PACKAGES = {"dask": "distributed", "ray": "ray"}
"""What is imported, of the engines that are extras of this program."""


def chosen_engine(name: str | None = None) -> KnownEngine:
    """The engine of a name, else the one that the environment names, else processes.

    Raises:
        ConfigurationError: if there is none of that name, or it is not installed.
    """
    wanted = name or os.environ.get(ENGINE_VARIABLE) or "processes"
    for engine in ENGINES:
        if engine == wanted:
            break
    else:
        message = f"There is no engine {wanted!r}; there are {', '.join(ENGINES)}."
        raise ConfigurationError(message)
    package = PACKAGES.get(engine)
    if package is not None and find_spec(package) is None:
        message = (
            f"Engine {engine} is not installed: install this program with it, by "
            f"`pip install '.[{engine}]'` in its checkout, or choose the engine processes."
        )
        raise ConfigurationError(message)
    return engine
