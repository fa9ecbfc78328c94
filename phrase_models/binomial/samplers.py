"""Samplers of binary rolls: pure functions of one signature over anything that denoises.

All chance comes from `draw_uniforms`, and each gives back the last estimate, so no noise stays.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from phrase_models.binomial.process import (
    BernoulliProcess,
    noised_probability,
    posterior_probability,
)

Denoise = Callable[[Tensor, int], Tensor]
"""Noisy cells, bool, and their timestep -> P(x_0 = 1), of the same shape."""
DrawUniforms = Callable[[], Tensor]
"""Numbers in [0, 1), of the shape of the cells."""
Sampler = Callable[[Denoise, BernoulliProcess, Sequence[int], DrawUniforms, Tensor | None], Tensor]
THRESHOLD = 0.5
"""An estimate from here on is a 1."""


def _begin(
    process: BernoulliProcess, timestep: int, draw_uniforms: DrawUniforms, start: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The noise roll, and x_t: `start` where its cells are kept, noise elsewhere."""
    noise = draw_uniforms() < process.density
    if start is None:
        return noise, noise
    is_kept = draw_uniforms() < float(process.kept[timestep])
    return noise, torch.where(is_kept, start, noise)


def posterior(
    denoise: Denoise,
    process: BernoulliProcess,
    timesteps: Sequence[int],
    draw_uniforms: DrawUniforms,
    start: Tensor | None = None,
) -> Tensor:
    """Ancestral sampling by the exact posterior, its clean roll weighed by the estimate.

    Args:
        denoise: gives P(x_0 = 1 | x_t).
        process: of the noise.
        timesteps: strictly falling, at least one; the last is 0.
        draw_uniforms: source of chance.
        start: a clean roll to begin from, noised to the first timestep; pure noise by default.

    Returns:
        P(x_0 = 1) of every cell at the last timestep.
    """
    _, noisy = _begin(process, timesteps[0], draw_uniforms, start)
    for timestep, earlier in pairwise(timesteps):
        probability = posterior_probability(
            noisy,
            denoise(noisy, timestep),
            float(process.kept[timestep]),
            float(process.kept[earlier]),
            process.density,
        )
        noisy = draw_uniforms() < probability
    return denoise(noisy, timesteps[-1])


def released(
    denoise: Denoise,
    process: BernoulliProcess,
    timesteps: Sequence[int],
    draw_uniforms: DrawUniforms,
    start: Tensor | None = None,
) -> Tensor:
    """The sampler of the released code: one noise roll is kept, and shows through less and less.

    Where the estimate and the noise roll differ, the noise comes back with the probability of the
    next timestep. The released code takes that of this timestep, so the network is told less noise
    than there is, and it gives back the last noisy roll instead of the estimate. Arguments and
    result as in `posterior`.
    """
    noise, noisy = _begin(process, timesteps[0], draw_uniforms, start)
    for timestep, earlier in pairwise(timesteps):
        estimate = denoise(noisy, timestep) >= THRESHOLD
        is_kept = draw_uniforms() < float(process.kept[earlier])
        noisy = torch.where(is_kept, estimate, noise)
    return denoise(noisy, timesteps[-1])


def draw_noisy(clean: Tensor, kept: Tensor, density: Tensor, uniforms: Tensor) -> Tensor:
    """x_t of clean rolls (B, C, S, P) bool, each at its own timestep."""
    return uniforms < noised_probability(clean.float(), kept, density)


SAMPLERS: Mapping[str, Sampler] = {"posterior": posterior, "released": released}
