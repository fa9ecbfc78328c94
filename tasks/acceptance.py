"""Declaring a change of code harmless for what a store holds."""

from __future__ import annotations

from collections.abc import Callable

from phrase_models.errors import ConfigurationError
from storage.errors import NothingToAccept
from storage.opening import existing_store
from tasks.engine.stage import Stage, StageRunner, key_components, stage_key
from tasks.launch import Launch


def accept_stage(
    launched: Launch, name: str, why: str, compose: Callable[[StageRunner, Launch], None]
) -> str:
    """Have the newest artifact of a stage count for the code as it is now.

    Its settings, inputs and version must be those wanted: only its code may differ.

    Args:
        launched: the checked request, as for a run.
        name: of the stage.
        why: reason for people, kept in the artifact's manifest; may be empty.
        compose: walks the stages of the pipeline with a runner.

    Returns:
        One sentence about what was done.

    Raises:
        ConfigurationError: for a name that is no stage of this pipeline, or while a stage before
            it is not up to date.
        NothingToAccept: if the stage was never built, differs in more than code, or is to be
            refreshed.
    """
    store = existing_store(launched.store)
    reached = launched.walk_to(name, compose)
    if not isinstance(reached, Stage):
        raise ConfigurationError(" ".join(reached))
    key = stage_key(reached)
    if store.refresh_pending(name, key):
        message = f"A refresh of {name} was asked for and is not finished: run the pipeline."
        raise NothingToAccept(message)
    if store.find(name, key) is not None:
        return f"{name} is up to date: there is nothing to accept."
    ref = store.accept(name, key, **key_components(reached), why=why)
    return f"{name} of {ref.folder} counts for the code as it is now."
