"""Noise schedule: timestep -> alpha, sigma with x_t = alpha x_0 + sigma epsilon.

Timestep 0 is the cleanest noisy one, the last is (nearly) pure noise; alpha^2 + sigma^2 = 1.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from phrase_models.diffusion.config import NoiseScheduleConfig, Prediction

MAX_BETA = 0.999  # of one DDPM step (arXiv 2102.09672, section 3.2)
COSINE_OFFSET = 0.008  # same place


@dataclass(frozen=True, slots=True)
class NoiseSchedule:
    """Tables over timesteps, float64 on the CPU, float32 elsewhere.

    Attributes:
        alphas, sigmas: (num_timesteps,).
        prediction: what the network's output means.
        skip_variance: see `predicted_sample`.
    """

    alphas: Tensor
    sigmas: Tensor
    prediction: Prediction
    skip_variance: float = 0.0

    @property
    def num_timesteps(self) -> int:
        """Length of the tables."""
        return len(self.alphas)

    def to(self, device: torch.device) -> Self:
        """The schedule for training on a device, which then looks levels up without waiting."""
        if device.type == "cpu":
            return self
        return replace(
            self, alphas=self.alphas.float().to(device), sigmas=self.sigmas.float().to(device)
        )

    def levels(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma of timesteps (B,), each float32 (B, 1, 1, 1) on their device."""
        index = timesteps.to(self.alphas.device)
        alpha, sigma = self.alphas[index], self.sigmas[index]
        shape = (-1, 1, 1, 1)
        return (
            alpha.float().view(shape).to(timesteps.device),
            sigma.float().view(shape).to(timesteps.device),
        )

    def times(self, timesteps: Tensor) -> Tensor:
        """Timesteps (B,) as float32 times in [0, 1]."""
        return timesteps.float() / (self.num_timesteps - 1)


def build_noise_schedule(config: NoiseScheduleConfig) -> NoiseSchedule:
    """Tabulate the cosine schedule (arXiv 2102.09672), rescaled as configured."""
    edges = np.arange(config.num_timesteps + 1) / config.num_timesteps
    signal = np.cos((edges + COSINE_OFFSET) / (1 + COSINE_OFFSET) * np.pi / 2) ** 2
    betas = np.minimum(1 - signal[1:] / signal[:-1], MAX_BETA)
    alphas = np.sqrt(np.cumprod(1 - betas))
    if config.zero_terminal_snr:
        alphas = (alphas - alphas[-1]) * alphas[0] / (alphas[0] - alphas[-1])
    squares = config.snr_scale * alphas**2
    squares = squares / (squares + 1 - alphas**2)
    return NoiseSchedule(
        torch.from_numpy(np.sqrt(squares)),
        torch.from_numpy(np.sqrt(1 - squares)),
        config.prediction,
        config.skip_variance,
    )


def add_noise(clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x_t from x_0 and noise."""
    return alpha * clean + sigma * noise


def prediction_target(
    prediction: Prediction, clean: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """What the network should output; velocity = alpha epsilon - sigma x_0 (arXiv 2202.00512)."""
    if prediction == "noise":
        return noise
    if prediction == "sample":
        return clean
    return alpha * noise - sigma * clean


def predicted_sample(
    schedule: NoiseSchedule, output: Tensor, noisy: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """The clean latents x_0 that an output at x_t stands for.

    With a `skip_variance` v an output that is x_0 is mixed with x_t / alpha, whose error has the
    variance s = sigma^2 / alpha^2: the mean of two estimates of independent errors v and s,

        (v x_t / alpha + s output) / (v + s).

    A network that says x_0 has an error of its own that does not go away with the noise; on nearly
    clean latents x_t alone is the better estimate (the skip connection of arXiv 2206.00364, section
    5, whose v is the variance of the data).
    """
    if schedule.prediction == "noise":
        return (noisy - sigma * output) / alpha
    if schedule.prediction == "velocity":
        return alpha * noisy - sigma * output
    variance = schedule.skip_variance
    if not variance:
        return output
    # Multiplied by alpha^2, for alpha is 0 where all is noise.
    mixed = variance * alpha * noisy + sigma**2 * output
    return mixed / (variance * alpha**2 + sigma**2)


def error_weights(config: NoiseScheduleConfig, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Weights of squared errors in the loss: by `snr_weight_limit`, else by `min_snr_gamma`."""
    if config.snr_weight_limit is None:
        return min_snr_weights(config.prediction, alpha, sigma, config.min_snr_gamma)
    return (1 + (alpha / sigma).square()).clamp(max=config.snr_weight_limit)


def min_snr_weights(
    prediction: Prediction, alpha: Tensor, sigma: Tensor, gamma: float | None
) -> Tensor:
    """Weights of squared errors of the output, min-SNR-gamma (arXiv 2303.09556); 1 where off.

    min(SNR, gamma) for the sample; divided by SNR for noise, by SNR + 1 for velocity.
    """
    if gamma is None:
        return torch.ones_like(alpha)
    ratio = (alpha / sigma).square()
    if prediction == "sample":
        return ratio.clamp(max=gamma)
    if prediction == "noise":
        return (gamma / ratio).clamp(max=1.0)
    return ratio.clamp(max=gamma) / (ratio + 1)
