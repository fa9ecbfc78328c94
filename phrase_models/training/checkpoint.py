"""Weights, and the state of a training, as safetensors and JSON; nothing is pickled."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from phrase_models.training.generations import load_generation, save_generation
from phrase_models.whole_files import write_whole

CHECKPOINT_FORMAT = 2
"""1 had no digests."""
MODEL, AVERAGE, OPTIMIZER, BEST = (
    f"{name}.safetensors" for name in ("model", "average", "optimizer", "best")
)
PROGRESS = "progress.json"


def weights_to_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """Named tensors as the content of a safetensors file."""
    content: bytes = save({name: tensor.detach().contiguous() for name, tensor in weights.items()})
    return content


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write named tensors as safetensors; see `write_whole`."""
    write_whole(path, weights_to_bytes(weights))


def module_weights(module: nn.Module) -> dict[str, Tensor]:
    """The module's parameters and buffers by name, tied ones once."""
    seen: set[int] = set()
    weights: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        if tensor.data_ptr() in seen and tensor.numel():
            continue
        seen.add(tensor.data_ptr())
        weights[name] = tensor
    return weights


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether no number is nan or infinite; a GPU is waited for once, not for each tensor."""
    if not tensors:
        return True
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())


def restore_weights(module: nn.Module, content: bytes) -> None:
    """Load the content of a safetensors file strictly into a module."""
    module.load_state_dict(load(content), strict=True)


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
    files = {
        MODEL: weights_to_bytes(module_weights(module)),
        **{name: weights_to_bytes(weights) for name, weights in averages.items()},
        OPTIMIZER: weights_to_bytes(_flatten(optimizer)),
        **({} if best is None else {BEST: best}),
        PROGRESS: json.dumps({"format": CHECKPOINT_FORMAT, **progress}, indent=1).encode(),
    }
    save_generation(folder, files)


def load_state(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    averages: Mapping[str, Mapping[str, Tensor]],
) -> tuple[dict[str, Any] | None, bytes | None, list[str]]:
    """Restore a run in place, from the newest whole checkpoint.

    Returns:
        Its progress and its best weights, either None where nothing is to be restored, and what
        was set aside as damaged, as beginnings of sentences.
    """
    expected = {MODEL, OPTIMIZER, PROGRESS, *averages}
    files, complaints = load_generation(folder, expected)
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


def load_weights(module: nn.Module, path: Path) -> None:
    """Load safetensors strictly into a module."""
    restore_weights(module, path.read_bytes())
