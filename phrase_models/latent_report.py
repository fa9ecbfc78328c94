"""What is said of the latents of a trained PhraseVAE: figures and pictures."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from phrase_models.metrics.latent_statistics import latent_statistics
from phrase_models.plots import figure_png, interpolation_strip, latent_pca, latent_profile
from phrase_models.score.song import Phrase
from phrase_models.tokens import vocabulary
from phrase_models.training.randomness import numpy_generator
from phrase_models.vae.interpolation import decode_paths, mean_smoothness, path_weights
from phrase_models.vae.latent_noise import f1_under_noise
from phrase_models.vae.model import PhraseVAE

NOISE_SIGMAS = (0.1, 0.2, 0.3)
"""Noise on the latents, in standard deviations of each dimension."""
PATHS_PER_PROGRAM = 64
POINTS_OF_A_PATH = 8


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


def describe_paths(
    vae: PhraseVAE,
    latents: NDArray[np.float32],
    phrases: Sequence[Sequence[int]],
    *,
    seed: int = 0,
) -> LatentDescription:
    """Measure and draw the way between latents of two different phrases of a program.

    Args:
        vae: that made them, in eval mode.
        latents: (N, D), raw posterior means.
        phrases: N token sequences of one phrase each.
        seed: of the choice of pairs, as many for each program.

    Returns:
        The figures of `Smoothness` as `interpolation_<name>`, where they are defined, and a strip
        of piano rolls for each program, `interpolation_program_<program>.png`.
    """
    rng = numpy_generator(seed, "paths")
    programs = _programs(phrases)
    paths: list[list[Phrase | None]] = []
    pictures: dict[str, bytes] = {}
    for program in np.unique(programs[programs >= 0]).tolist():
        rows = np.flatnonzero(programs == program)
        pairs = rng.choice(rows, (4 * PATHS_PER_PROGRAM, 2))
        different = [phrases[first] != phrases[second] for first, second in pairs]
        pairs = pairs[different][:PATHS_PER_PROGRAM]
        if len(pairs):
            ends = latents[pairs[:, 0]], latents[pairs[:, 1]]
            found = decode_paths(vae, *ends, POINTS_OF_A_PATH)
            pictures[f"interpolation_program_{program}.png"] = path_picture(program, found[0])
            paths += found
    figures = asdict(mean_smoothness(paths)) if paths else {}
    return LatentDescription(
        {f"interpolation_{name}": value for name, value in figures.items() if math.isfinite(value)},
        pictures,
    )


def path_picture(program: int, path: Sequence[Phrase | None]) -> bytes:
    """The phrases of one path side by side, as if all were of one program: a PNG."""
    shown = [Phrase(program, phrase.notes if phrase else ()) for phrase in path]
    return figure_png(interpolation_strip(shown, path_weights(len(shown)).tolist()))


def _programs(units: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Program that each unit begins with, (N,); -1 for a special phrase."""
    first = np.array([unit[0] for unit in units], np.int64)
    return np.maximum(first - vocabulary.FIRST_PROGRAM, -1)
