"""T5's layer norm with a backward pass of its own for CPUs.

There torch composes it of single operations, and norms take a seventh of a training step, most of
it waiting for memory; other devices have one kernel for it.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class _UnitScale(torch.autograd.Function):
    """Vectors (..., d) divided by the root of their mean square."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, epsilon: float) -> Tensor:
        mean_square = hidden.norm(dim=-1, keepdim=True).square() / hidden.shape[-1]
        scale = (mean_square + epsilon).rsqrt()
        unit = hidden * scale
        ctx.save_for_backward(unit, scale)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        unit, scale = ctx.saved_tensors
        along = (gradient * unit).mean(-1, keepdim=True)
        return torch.addcmul(gradient, unit, along, value=-1).mul_(scale), None


def rms_norm(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root mean square norm (Zhang & Sennrich 2019): no mean is subtracted, no bias added.

    Args:
        hidden: (..., d).
        weight: gain of each dimension (d,).
        epsilon: added to the mean square.

    Returns:
        (..., d).
    """
    if hidden.device.type != "cpu" or not torch.is_grad_enabled():
        return F.rms_norm(hidden, weight.shape, weight, epsilon)
    unit: Tensor = _UnitScale.apply(hidden, epsilon)  # type: ignore[no-untyped-call]
    return unit * weight
