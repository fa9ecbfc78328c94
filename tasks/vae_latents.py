"""What is said of the latents of a trained PhraseVAE: figures and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phrase_models.metrics.latent_statistics import latent_statistics
from phrase_models.plots import figure_png, latent_pca, latent_profile
from phrase_models.tokens import vocabulary
from phrase_models.vae.latent_noise import f1_under_noise
from phrase_models.vae.model import PhraseVAE

NOISE_SIGMAS = (0.1, 0.2, 0.3)
"""Noise on the latents, in standard deviations of each dimension."""


@dataclass(frozen=True, slots=True)
class LatentDescription:
    """How normal a model's latents are, and how much noise they bear.

    Attributes:
        figures: those of `LatentStatistics`, and F1_op and F1_opd under noise as
            `f1_op_relative_noise_<sigma>`.
        pictures: PNG bytes by file name.
    """

    figures: dict[str, float]
    pictures: dict[str, bytes]


def describe_latents(
    vae: PhraseVAE,
    latents: NDArray[np.float32],
    units: Sequence[Sequence[int]],
    *,
    sigmas: Sequence[float] = NOISE_SIGMAS,
    seed: int = 0,
) -> LatentDescription:
    """Measure and draw the latents of units.

    Args:
        vae: that made them, in eval mode.
        latents: (N, D), raw posterior means, N at least 1.
        units: N token sequences, such as phrases; each is coloured by its first program.
        sigmas: of the noise, see `f1_under_noise`.
        seed: of the noise.

    Returns:
        Figures, and the pictures `latent_pca.png` and `latent_profile.png`.
    """
    figures = latent_statistics(latents).figures()
    noisy = f1_under_noise(vae, latents, units, sigmas, seed)
    for sigma, scores in zip(sigmas, noisy, strict=True):
        figures[f"f1_op_relative_noise_{sigma:g}"] = scores.f1_op
        figures[f"f1_opd_relative_noise_{sigma:g}"] = scores.f1_opd
    pictures = {
        "latent_pca.png": figure_png(latent_pca(latents, _programs(units))),
        "latent_profile.png": figure_png(latent_profile(latents)),
    }
    return LatentDescription(figures, pictures)


def _programs(units: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Program that each unit begins with, (N,); -1 for a special phrase."""
    first = np.array([unit[0] for unit in units], np.int64)
    return np.maximum(first - vocabulary.FIRST_PROGRAM, -1)
