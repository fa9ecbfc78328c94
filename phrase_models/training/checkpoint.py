"""Training state on disk: safetensors and JSON, written aside and renamed; nothing is pickled."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

CHECKPOINT_FORMAT = 1


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write named tensors as safetensors, aside first."""
    aside = path.with_suffix(".tmp")
    save_file({name: tensor.detach().contiguous() for name, tensor in weights.items()}, aside)
    aside.replace(path)


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


def load_weights(module: nn.Module, path: Path) -> None:
    """Load safetensors strictly into a module."""
    module.load_state_dict(load_file(path), strict=True)


def save_state(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor] | None,
    progress: Mapping[str, Any],
    further_averages: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> None:
    """Write everything a run needs to go on, replacing the state before it in one rename.

    Further averages get a file each, by name.
    """
    aside, old = folder.with_suffix(".tmp"), folder.with_suffix(".old")
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir(parents=True)
    save_weights(module_weights(module), aside / "model.safetensors")
    if average is not None:
        save_weights(average, aside / "average.safetensors")
    for name, weights in (further_averages or {}).items():
        save_weights(weights, aside / f"{name}.safetensors")
    save_weights(_flatten(optimizer), aside / "optimizer.safetensors")
    progress = {"format": CHECKPOINT_FORMAT, **progress}
    (aside / "progress.json").write_text(json.dumps(progress, indent=1))
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_state(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor] | None,
    further_averages: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> dict[str, Any] | None:
    """Restore a run in place and return its progress, or None where nothing was saved.

    A kill between the two renames of `save_state` leaves only the older state, aside: it is used.
    """
    old = folder.with_suffix(".old")
    if not folder.exists() and old.exists():
        old.rename(folder)
    if not (folder / "progress.json").exists():
        return None
    load_weights(module, folder / "model.safetensors")
    if average is not None:
        _refill(average, folder / "average.safetensors")
    for name, weights in (further_averages or {}).items():
        _refill(weights, folder / f"{name}.safetensors")
    _unflatten(optimizer, load_file(folder / "optimizer.safetensors"))
    progress: dict[str, Any] = json.loads((folder / "progress.json").read_text())
    return progress


def _refill(weights: Mapping[str, Tensor], path: Path) -> None:
    """Load safetensors into tensors of the same names, where these are."""
    stored = load_file(path)
    for name, tensor in weights.items():
        tensor.copy_(stored[name])


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
