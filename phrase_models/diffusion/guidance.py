"""Wrappers around "a thing that denoises": guidance and clipping."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor


class Denoise(Protocol):
    """Estimates clean latents; a network with its conditions, an oracle, a dummy."""

    def __call__(self, noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
        """Estimate x_0 from x_t (B, N, S, D), given the estimate before, None at first."""


def guided(
    conditional: Denoise,
    unconditional: Denoise,
    scale: float,
    active: Callable[[int], bool] = lambda _timestep: True,
) -> Denoise:
    """Classifier-free guidance (arXiv 2207.12598): u + scale (c - u).

    On estimates of x_0 this equals guidance of the noise, as both sides see the same x_t.

    Args:
        conditional: c, estimates under the conditions.
        unconditional: u, estimates with all conditions hidden.
        scale: 1 is the conditional side alone.
        active: timesteps at which guidance acts (arXiv 2404.07724); elsewhere the scale is 1.
    """
    if scale == 1.0:
        return conditional

    def denoise(noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
        towards = conditional(noisy, timestep, estimate)
        if not active(timestep):
            return towards
        away = unconditional(noisy, timestep, estimate)
        return away + scale * (towards - away)

    return denoise


def clipped(denoise: Denoise, limit: float | None) -> Denoise:
    """Hold estimates within plus and minus `limit`; None leaves them."""
    if limit is None:
        return denoise

    def clipping(noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
        return denoise(noisy, timestep, estimate).clamp(-limit, limit)

    return clipping
