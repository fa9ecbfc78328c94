"""Samplers: pure functions of one signature over anything that denoises.

The first draw of `draw_noise` is the noisy song at the first timestep, where noise is all that is
left of it; `renoised` makes it another song with noise. All noise comes from `draw_noise`, whose
rows belong to one song each: song k of seed s is the same whatever else is drawn in the same call.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from phrase_models.diffusion.guidance import Denoise
from phrase_models.diffusion.noise_schedule import NoiseSchedule
from phrase_models.diffusion.sampler_config import Solver
from phrase_models.training.randomness import derive_seed

MAX_EXTRAPOLATION = 0.5
"""Share of the last change of the estimate that DPM-Solver++ adds at steps of equal length."""

DrawNoise = Callable[[], Tensor]
Sampler = Callable[[Denoise, NoiseSchedule, Sequence[int], DrawNoise], Tensor]


def song_generator(seed: int, song_index: int) -> torch.Generator:
    """The source of all noise of song `song_index` under `seed`, on the CPU."""
    return torch.Generator().manual_seed(derive_seed("song", seed, song_index))


def sampling_timesteps(
    num_timesteps: int, num_sampling_steps: int, start: float = 1.0
) -> list[int]:
    """Timesteps from the one at time `start` to 0, evenly spaced, strictly falling.

    The last of `num_timesteps` is at time 1. There are `num_sampling_steps` of them, at most all.
    """
    last = round(start * (num_timesteps - 1))
    count = min(last + 1, num_sampling_steps)
    if count == 1:
        return [last]
    return [round(last * (1 - index / (count - 1))) for index in range(count)]


def renoised(
    clean: Tensor, schedule: NoiseSchedule, timestep: int, draw_noise: DrawNoise
) -> DrawNoise:
    """A source whose first draw is `clean` with the noise of a timestep; the others are noise.

    A sampler begins with it in the middle (SDEdit, arXiv 2108.01073).
    """
    alpha, sigma = float(schedule.alphas[timestep]), float(schedule.sigmas[timestep])
    start: Tensor | None = alpha * clean + sigma * draw_noise()

    def draw() -> Tensor:
        nonlocal start
        first, start = start, None
        return draw_noise() if first is None else first

    return draw


def _levels(schedule: NoiseSchedule, timesteps: Sequence[int]) -> list[tuple[float, float]]:
    """Alpha and sigma at each timestep, and at the clean end."""
    levels = [(float(schedule.alphas[t]), float(schedule.sigmas[t])) for t in timesteps]
    return [*levels, (1.0, 0.0)]


def ddpm(
    denoise: Denoise, schedule: NoiseSchedule, timesteps: Sequence[int], draw_noise: DrawNoise
) -> Tensor:
    """Ancestral sampling (arXiv 2006.11239) with the variance of the true posterior."""
    levels = _levels(schedule, timesteps)
    noisy, estimate = draw_noise(), None
    for index, timestep in enumerate(timesteps):
        estimate = denoise(noisy, timestep, estimate)
        if index == len(timesteps) - 1:
            break
        (alpha, sigma), (next_alpha, next_sigma) = levels[index], levels[index + 1]
        ratio = alpha / next_alpha
        variance = sigma**2 - ratio**2 * next_sigma**2
        mean = (ratio * next_sigma**2) * noisy + (next_alpha * variance) * estimate
        noisy = mean / sigma**2 + math.sqrt(variance) * next_sigma / sigma * draw_noise()
    return _final(estimate)


def ddim(
    denoise: Denoise, schedule: NoiseSchedule, timesteps: Sequence[int], draw_noise: DrawNoise
) -> Tensor:
    """Deterministic DDIM (arXiv 2010.02502, eta 0)."""
    levels = _levels(schedule, timesteps)
    noisy, estimate = draw_noise(), None
    for index, timestep in enumerate(timesteps):
        estimate = denoise(noisy, timestep, estimate)
        (alpha, sigma), (next_alpha, next_sigma) = levels[index], levels[index + 1]
        noise = (noisy - alpha * estimate) / sigma
        noisy = next_alpha * estimate + next_sigma * noise
    return _final(estimate)


def dpm_solver(
    denoise: Denoise, schedule: NoiseSchedule, timesteps: Sequence[int], draw_noise: DrawNoise
) -> Tensor:
    """DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2), in estimates of x_0.

    The step from pure noise, where the log-SNR is minus infinity, is of first order. One deviation:
    a step that is longer in log-SNR than the one before it extrapolates no further than an equal
    one would. On evenly spaced timesteps the last step is several times longer, and the plain rule
    overshoots: at 20 steps, normal data of deviation 0.5 (whose flow is known) come out 10.0 % too
    wide by the plain rule and 0.1 % too narrow by this one; DDIM, 7.8 % too narrow.
    """
    return _second_order(denoise, schedule, timesteps, draw_noise, stochastic=False)


def sde_dpm_solver(
    denoise: Denoise, schedule: NoiseSchedule, timesteps: Sequence[int], draw_noise: DrawNoise
) -> Tensor:
    """SDE-DPM-Solver++(2M) (arXiv 2211.01095): the same, with fresh noise at each step.

    What the network got wrong at an earlier step is noise to the later ones, which take it away;
    without fresh noise it stays.
    """
    return _second_order(denoise, schedule, timesteps, draw_noise, stochastic=True)


def _second_order(
    denoise: Denoise,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    draw_noise: DrawNoise,
    *,
    stochastic: bool,
) -> Tensor:
    levels = _levels(schedule, timesteps)
    log_ratios = [_log_ratio(alpha, sigma) for alpha, sigma in levels]
    noisy, estimate, before = draw_noise(), None, None
    for index, timestep in enumerate(timesteps):
        before, estimate = estimate, denoise(noisy, timestep, estimate)
        if index == len(timesteps) - 1:
            break
        sigma = levels[index][1]
        next_alpha, next_sigma = levels[index + 1]
        length = log_ratios[index + 1] - log_ratios[index]
        direction = estimate
        if before is not None:
            length_before = log_ratios[index] - log_ratios[index - 1]
            share = min(length / (2 * length_before), MAX_EXTRAPOLATION)
            direction = (1 + share) * estimate - share * before
        kept = next_sigma / sigma
        if stochastic:
            kept, length = kept * math.exp(-length), 2 * length
        noisy = kept * noisy - next_alpha * math.expm1(-length) * direction
        if stochastic:
            noisy = noisy + next_sigma * math.sqrt(-math.expm1(-length)) * draw_noise()
    return _final(estimate)


def _log_ratio(alpha: float, sigma: float) -> float:
    if alpha == 0.0:
        return -math.inf
    return math.inf if sigma == 0.0 else math.log(alpha / sigma)


def _final(estimate: Tensor | None) -> Tensor:
    if estimate is None:
        message = "sampling needs at least one timestep"
        raise ValueError(message)
    return estimate


SAMPLERS: dict[Solver, Sampler] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "dpm_solver": dpm_solver,
    "sde_dpm_solver": sde_dpm_solver,
}
