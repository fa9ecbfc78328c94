"""All stages, found by walking this folder, in the order of the road.

A module of this folder that defines `STAGE` is a stage and is named as it; the others help them.
"""

import pkgutil
from collections.abc import Iterable
from graphlib import TopologicalSorter
from importlib import import_module
from types import ModuleType

import tasks.stages
from tasks.engine.stage_kind import StageKind


def find_stages(package: ModuleType) -> tuple[StageKind, ...]:
    """The stages that the modules of a package define, each after those it reads.

    Raises:
        ValueError: if one reads a stage that there is not, or is not named as its module.
    """
    kinds = []
    for module in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{module.name}"
        if name == __name__:
            continue
        kind: StageKind | None = getattr(import_module(name), "STAGE", None)
        if kind is None:
            continue
        if kind.name != module.name:
            message = f"module {name} defines a stage of another name, {kind.name}"
            raise ValueError(message)
        kinds.append(kind)
    return in_order(kinds)


def in_order(kinds: Iterable[StageKind]) -> tuple[StageKind, ...]:
    """Each stage after those it reads; where that leaves a choice, by name.

    Raises:
        ValueError: if one reads a stage that is not among them.
    """
    by_name = {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}
    for kind in by_name.values():
        for name in kind.reads:
            if name not in by_name:
                message = f"stage {kind.name} reads {name}, and there is no such stage"
                raise ValueError(message)
    order = TopologicalSorter({name: kind.reads for name, kind in by_name.items()})
    return tuple(by_name[name] for name in order.static_order())


STAGES = find_stages(tasks.stages)
STAGE_NAMES = tuple(kind.name for kind in STAGES)
