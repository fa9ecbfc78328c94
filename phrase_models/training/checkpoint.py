"""The state of a training as safetensors and JSON; nothing is pickled."""

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from phrase_models.training.division import WHOLE, Division
from phrase_models.training.generations import load_generation, save_generation
from phrase_models.training.weights import module_weights, restore_weights, weights_to_bytes

CHECKPOINT_FORMAT = 2
"""1 had no digests."""
MODEL, AVERAGE, OPTIMIZER, BEST = (
    f"{name}.safetensors" for name in ("model", "average", "optimizer", "best")
)
PROGRESS = "progress.json"


def save_state(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    averages: Mapping[str, Mapping[str, Tensor]],
    best: bytes | None,
    progress: Mapping[str, Any],
) -> None:
    """Write everything a run needs to go on, keeping the state before it.

    Args:
        folder: of the checkpoint; see `generations` for what lies beside it.
        module: in training.
        optimizer: of the module.
        averages: of its weights, a file each, by the name of the file.
        best: the best weights so far, as `weights_to_bytes` gives them, or None.
        progress: plain values.
    """
    tensors = {
        MODEL: module_weights(module),
        **averages,
        OPTIMIZER: _flatten(optimizer),
    }
    told = json.dumps({"format": CHECKPOINT_FORMAT, **progress}, indent=1).encode()
    plain = {PROGRESS: told} if best is None else {BEST: best, PROGRESS: told}
    weights = ((name, weights_to_bytes(named)) for name, named in tensors.items())
    save_generation(folder, chain(weights, plain.items()))


def load_state(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    averages: Mapping[str, Mapping[str, Tensor]],
    division: Division = WHOLE,
) -> tuple[dict[str, Any] | None, bytes | None, list[str]]:
    """Restore a run in place, from the newest whole checkpoint that the first process has.

    Returns:
        Its progress and its best weights, either None where nothing is to be restored, and what
        was set aside as damaged, as beginnings of sentences.
    """
    expected = {MODEL, OPTIMIZER, PROGRESS, *averages}
    found, complaints = load_generation(folder, expected) if division.is_first else (None, [])
    files = division.files_of_first(found)
    if files is None:
        return None, None, complaints
    restore_weights(module, files[MODEL])
    for name, weights in averages.items():
        stored = load(files[name])
        for key, tensor in weights.items():
            tensor.copy_(stored[key])
    _unflatten(optimizer, load(files[OPTIMIZER]))
    progress: dict[str, Any] = json.loads(files[PROGRESS])
    return progress, files.get(BEST), complaints


def _flatten(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
    }


def _unflatten(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
