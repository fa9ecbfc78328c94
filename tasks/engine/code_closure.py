"""Which code decides a stage's result: what its body's module reaches, short of the leaves."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from storage.code_digest import FIRST_PARTY_ROOTS, CodeScope, code_components
from storage.errors import UnresolvedCode

LEAVES: Mapping[str, tuple[str, ...]] = {
    "run bodies and carry what they leave, the same for every stage": (
        "tasks.engine",
        "storage.artifacts",
        "storage.fingerprint",
        "storage.manifest",
        "storage.writing",
    ),
    "end a run with a sentence; what they would decide is then never committed": (
        "phrase_models.errors",
        "storage.errors",
    ),
    "settings: the values that a body gets are themselves in the key": ("tasks.settings",),
    "draw pictures for people, into log/, which counts towards no digest": ("phrase_models.plots",),
}
"""Modules, and packages of modules, that no closure enters, by the reason.

A module belongs here only if no edit of it can change the content of an artifact outside log/. What
a function of a leaf returns to a body must be in the key (settings, the digest of a data folder) or
count for people alone (the meta of an artifact).
"""


def closure(modules: Sequence[str], folder: Path | None = None) -> dict[str, str]:
    """Digest of every module that some modules reach, short of the leaves.

    Args:
        modules: to start from.
        folder: that holds the packages, if not those that run now.

    Returns:
        See `storage.code_digest.code_components`.

    Raises:
        UnresolvedCode: if a module has no source file, or one that cannot be followed.
    """
    leaves = tuple(name for names in LEAVES.values() for name in names)
    return code_components(modules, CodeScope(leaves=leaves, folder=folder))


def stage_modules(body: Callable[..., Any], listed: Sequence[str]) -> tuple[str, ...]:
    """Where the closure of a stage starts.

    Args:
        body: of the stage, with arguments bound to it or not.
        listed: modules that the stage names beside the one that its body is written in.

    Raises:
        UnresolvedCode: if the body is written outside the packages of this program, as in a
            notebook, and no module is listed in its place.
    """
    while isinstance(body, partial):
        body = body.func
    own = body.__module__
    if own.partition(".")[0] in FIRST_PARTY_ROOTS:
        return (own, *listed)
    if not listed:
        raise UnresolvedCode(
            f"The body of a stage is written in {own}, outside {', '.join(FIRST_PARTY_ROOTS)}: "
            "list the modules that decide its result as the stage's code."
        )
    return tuple(listed)
