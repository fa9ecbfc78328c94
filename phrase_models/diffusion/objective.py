"""The training loss of PhraseLDM; timesteps, hidden conditions and self-conditioning of a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from phrase_models.diffusion.conditioning import PlanBatch
from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.noise_schedule import (
    NoiseSchedule,
    add_noise,
    min_snr_weights,
    predicted_sample,
    prediction_target,
)


@dataclass(frozen=True, slots=True)
class NoisyBatch:
    """Clean latents with the noise they are mixed with.

    Attributes:
        clean, noise: (B, N, S, D), unit scale.
        timesteps: (B,).
        plans: of the same songs.
    """

    clean: Tensor
    noise: Tensor
    timesteps: Tensor
    plans: PlanBatch


def draw_timesteps(config: NoiseScheduleConfig, batch_size: int) -> Tensor:
    """Timesteps of a batch (B,), from torch's global generator.

    "stratified" draws one from each of B equal ranges, in random order: the same distribution, with
    less variance from batch to batch.
    """
    places = torch.rand(batch_size)
    if config.timestep_sampling == "stratified":
        places = (torch.randperm(batch_size) + places) / batch_size
    return (places * config.num_timesteps).long().clamp(max=config.num_timesteps - 1)


def hide_conditions(plans: PlanBatch, config: DenoiserConfig) -> PlanBatch:
    """Hide length and sections, each on its own, so that guidance has an unconditional side."""
    if not config.condition_dropout or config.conditioning == "none":
        return plans
    draws = torch.rand(2, len(plans.bar_mask)) < config.condition_dropout
    length, sections = draws.to(plans.bar_mask.device)
    return plans.hide(length, sections)


def squared_errors(
    denoiser: Denoiser, schedule: NoiseSchedule, batch: NoisyBatch, *, self_condition: bool
) -> Tensor:
    """Mean squared error of the prediction over each song's bars (B,), unweighted.

    Bars outside `plans.bar_mask` count nothing; where songs are padded by their end, all count.

    Args:
        denoiser: the network.
        schedule: its noise schedule.
        batch: songs, noise and timesteps.
        self_condition: give half of the songs the network's own estimate from a first pass without
            gradient (arXiv 2208.04202).
    """
    alpha, sigma = schedule.levels(batch.timesteps)
    noisy = add_noise(batch.clean, batch.noise, alpha, sigma)
    times = schedule.times(batch.timesteps)
    estimate = None
    if self_condition and denoiser.config.self_conditioning:
        estimate = _half_estimated(denoiser, schedule, noisy, batch)
    output = denoiser(noisy, times, batch.plans, estimate)
    target = prediction_target(schedule.prediction, batch.clean, batch.noise, alpha, sigma)
    by_bar = (output - target).square().mean(dim=(2, 3))
    mask = batch.plans.bar_mask
    return (by_bar * mask).sum(dim=1) / mask.sum(dim=1)


def _half_estimated(
    denoiser: Denoiser, schedule: NoiseSchedule, noisy: Tensor, batch: NoisyBatch
) -> Tensor:
    """Estimates of x_0 for one half of the songs, zeros for the other (B, N, S, D).

    The songs of a batch are in random order, so the first half serves; a fixed number of rows keeps
    the shapes few. An odd song out is decided by a coin.
    """
    estimate = torch.zeros_like(noisy)
    odd = len(noisy) % 2
    count = len(noisy) // 2 + (int(torch.rand(()) < 0.5) if odd else 0)
    if not count:
        return estimate
    rows = slice(0, count)
    timesteps = batch.timesteps[rows]
    alpha, sigma = schedule.levels(timesteps)
    with torch.no_grad():
        output = denoiser(noisy[rows], schedule.times(timesteps), batch.plans[rows])
    # Autocast of older PyTorch keeps the half-precision weights it made without gradient and uses
    # them again, so that they would get none (pytorch/pytorch issue 112583, fixed by pull 165068).
    torch.clear_autocast_cache()
    estimate[rows] = predicted_sample(schedule.prediction, output, noisy[rows], alpha, sigma)
    return estimate


def training_loss(
    denoiser: Denoiser, schedule: NoiseSchedule, config: NoiseScheduleConfig, batch: NoisyBatch
) -> dict[str, Tensor]:
    """Scalars of a batch: "loss" with min-SNR weights, "error" without; longer songs weigh more."""
    errors = squared_errors(denoiser, schedule, batch, self_condition=True)
    alpha, sigma = schedule.levels(batch.timesteps)
    weights = min_snr_weights(schedule.prediction, alpha, sigma, config.min_snr_gamma).flatten()
    num_bars = batch.plans.bar_mask.sum(dim=1)
    share = num_bars / num_bars.sum()
    return {"loss": (errors * weights * share).sum(), "error": (errors * share).sum()}
