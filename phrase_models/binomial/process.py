"""The noise of binomial diffusion: independent Bernoulli cells (Atassi 2023, arXiv 2303.08385).

A cell of x_t is kept from x_0 with probability a_t, and drawn anew from the density rho otherwise:

    q(x_t = 1 | x_0) = a_t x_0 + (1 - a_t) rho

so that from an earlier time s, q(x_t = 1 | x_s) = r x_s + (1 - r) rho with r = a_t / a_s. Timestep
0 is the cleanest noisy one and the last is pure noise, a = 0; the clean end has a = 1.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from phrase_models.binomial.config import NoiseConfig

COSINE_OFFSET = 0.008  # arXiv 2102.09672, section 3.2
CLEAN = 1.0
"""Share that is kept at the clean end."""
LEAST_PROBABILITY = 1e-6
"""Estimates are held so far from 0 and 1 where their logarithm is taken."""


@dataclass(frozen=True, slots=True)
class BernoulliProcess:
    """Tables of the process.

    Attributes:
        kept: (T,) float64 on the CPU, a_t, falling, the last 0.
        density: rho in (0, 1), float32, () or (C, 1, P).
    """

    kept: Tensor
    density: Tensor

    @property
    def num_timesteps(self) -> int:
        """T."""
        return len(self.kept)

    def to(self, device: torch.device | str) -> Self:
        """The process for cells on a device."""
        return replace(self, density=self.density.to(device))

    def kept_at(self, timesteps: Tensor) -> Tensor:
        """A of timesteps (B,), float32 (B, 1, 1, 1) on their device."""
        kept = self.kept[timesteps.cpu()].float().view(-1, 1, 1, 1)
        return kept.to(timesteps.device)

    def times(self, timesteps: Tensor) -> Tensor:
        """Timesteps (B,) as float32 times in [0, 1]."""
        return timesteps.float() / (self.num_timesteps - 1)


def build_process(config: NoiseConfig, densities: Tensor) -> BernoulliProcess:
    """Tabulate a process.

    Args:
        config: schedule and kind of density.
        densities: (C, P), share of cells that are 1 in the training songs, each in (0, 1).
    """
    density = densities.mean() if config.density == "number" else densities[:, None, :]
    return BernoulliProcess(torch.from_numpy(kept_shares(config)), density.float())


def kept_shares(config: NoiseConfig) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """a_t of every timestep (T,)."""
    ends = np.arange(1, config.num_timesteps + 1) / config.num_timesteps
    if config.schedule == "linear":
        return 1 - ends
    angles = (np.concatenate(([0.0], ends)) + COSINE_OFFSET) / (1 + COSINE_OFFSET) * np.pi / 2
    signal = np.cos(angles) ** 2
    kept = signal[1:] / signal[0]
    kept[-1] = 0.0
    return kept


def noised_probability(clean: Tensor, kept: Tensor | float, density: Tensor) -> Tensor:
    """q(x_t = 1 | x_0) of cells, or of their probabilities."""
    return kept * clean + (1 - kept) * density


def posterior_probability(
    noisy: Tensor,
    estimate: Tensor,
    kept: Tensor | float,
    earlier_kept: Tensor | float,
    density: Tensor,
) -> Tensor:
    """P(x_s = 1 | x_t) where x_0 = 1 has the probability `estimate`, for s before t.

    By Bayes P(x_s = 1 | x_t, x_0) is proportional to q(x_t | x_s = 1) q(x_s = 1 | x_0), and the
    estimate weighs both values of x_0.

    Args:
        noisy: x_t, bool.
        estimate: P(x_0 = 1 | x_t).
        kept: a_t.
        earlier_kept: a_s.
        density: rho.
    """
    ratio = kept / earlier_kept
    drawn = (1 - ratio) * density
    of_one = torch.where(noisy, ratio + drawn, (1 - ratio) - drawn)
    of_zero = torch.where(noisy, drawn, 1 - drawn)

    def given(clean: float) -> Tensor:
        prior = earlier_kept * clean + (1 - earlier_kept) * density
        one = of_one * prior
        return one / (one + of_zero * (1 - prior))

    return estimate * given(1.0) + (1 - estimate) * given(0.0)


def evidence(noisy: Tensor, kept: Tensor, density: Tensor) -> Tensor:
    """Log q(x_t | x_0 = 1) - log q(x_t | x_0 = 0): what a noisy cell says of its own clean value.

    Added to the log-odds of all else that is known, it gives the log-odds of the clean cell.
    """
    drawn = (1 - kept) * density
    of_one = torch.log(kept + drawn) - torch.log(drawn)
    of_zero = torch.log(((1 - kept) - drawn) / (1 - drawn))
    return torch.where(noisy, of_one, of_zero)


def bound_terms(
    process: BernoulliProcess, clean: Tensor, noisy: Tensor, estimate: Tensor, timesteps: Tensor
) -> Tensor:
    """Terms of the variational bound on -log p(x_0), in nats of each cell.

    KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), at t = 0 with the clean end as x_{-1}. T times
    their mean over uniform timesteps is the bound: the last noisy roll is pure noise, which costs
    nothing. Other than the training loss it compares processes that noise differently.

    Args:
        process: of the noise.
        clean: x_0, bool.
        noisy: x_t, bool.
        estimate: P(x_0 = 1 | x_t).
        timesteps: (B,).

    Returns:
        The shape of `clean`.
    """
    kept = process.kept_at(timesteps)
    earlier = process.kept_at((timesteps - 1).clamp(min=0))
    earlier = torch.where((timesteps == 0).view(-1, 1, 1, 1), CLEAN, earlier)
    held = estimate.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    true = posterior_probability(noisy, clean.float(), kept, earlier, process.density)
    ours = posterior_probability(noisy, held, kept, earlier, process.density)
    return _weighted_log(true, ours) + _weighted_log(1 - true, 1 - ours)


def _weighted_log(true: Tensor, ours: Tensor) -> Tensor:
    """P log(p / q), 0 where p is."""
    return torch.special.xlogy(true, true) - torch.special.xlogy(true, ours)
