"""Weights as safetensors: of any module, finite, and checked before anything is allocated."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from phrase_models.model_files import (
    MOST_NUMBERS,
    check_weights_file,
    reading,
    shown,
    unusable,
    weights_header,
)
from phrase_models.whole_files import write_whole

ModuleT = TypeVar("ModuleT", bound=nn.Module)


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
    """Load the content of a safetensors file, which is known to be whole, into a module."""
    module.load_state_dict(load(content), strict=True)


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU, in the precision they have.

    Raises:
        ConfigurationError: if there is no such file, or it holds no weights.
    """
    names = weights_header(path)
    with reading(path), safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in names}


def load_module(build: Callable[[], ModuleT], path: Path) -> ModuleT:
    """Build a module and fill it from a file, in the module's precision.

    The header of the file is compared with an outline of the module first, so that a configuration
    that does not belong to the weights allocates nothing.

    Args:
        build: makes the module; its dimensions are bounded by its configuration.
        path: of a safetensors file.

    Raises:
        ConfigurationError: if there is no such file, or it does not fit the module, or a weight is
            not finite, or the module has more than `MOST_NUMBERS` of them.
    """
    with torch.device("meta"):
        outline = build().state_dict()
    num_numbers = sum(tensor.numel() for tensor in outline.values())
    if num_numbers > MOST_NUMBERS:
        words = f"its configuration asks for {num_numbers} weights, more than {MOST_NUMBERS}"
        raise unusable(path, words)
    check_weights_file(path, {name: tuple(tensor.shape) for name, tensor in outline.items()})
    module = build()
    with torch.no_grad(), reading(path), safe_open(path, "pt") as file:
        for name, tensor in module.state_dict().items():
            tensor.copy_(file.get_tensor(name))
            if not torch.isfinite(tensor).all():
                raise unusable(path, f"a number in its tensor {shown(name)} is not finite")
    return module
