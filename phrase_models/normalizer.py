"""Raw latents <-> unit scale; the one place where latents are scaled.

The released code divides by one number and forgets its padding latent; here one object is fitted on
training songs, saved inside every diffusion model and applied to everything alike.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Granularity = Literal["scalar", "dimension", "slot"]

CONSTANT_SHARE = 1e-3
"""A deviation below this share of the dimension's overall one counts as a constant."""


@dataclass(frozen=True, slots=True)
class LatentNormalizer:
    """Mean and standard deviation of training latents.

    Attributes:
        mean: (S, D) or (1, D), float32; with S the slots of a bar and D the size of a latent.
        deviation: same shape, above 0.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def normalise(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw latents (..., S, D) to unit scale."""
        return (latents - self.mean) / self.deviation

    def denormalise(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents of unit scale (..., S, D) to raw ones."""
        return latents * self.deviation + self.mean

    def write(self, path: Path) -> None:
        """Write as JSON, aside first."""
        values = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}
        aside = path.with_suffix(".tmp")
        aside.write_text(json.dumps(values))
        aside.replace(path)


def read_normalizer(path: Path) -> LatentNormalizer:
    """Read what `LatentNormalizer.write` wrote; float32 survives JSON exactly."""
    values = json.loads(path.read_text())
    return LatentNormalizer(
        np.asarray(values["mean"], np.float32), np.asarray(values["deviation"], np.float32)
    )


def fit_normalizer(
    latents: NDArray[np.float32], granularity: Granularity = "slot"
) -> LatentNormalizer:
    """Measure training latents.

    Args:
        latents: (bars, S, D), raw.
        granularity: one scale a slot and dimension ("slot", for role layouts whose silent slots
            would skew the others), one a dimension, or a single one ("scalar", as in the paper,
            with a zero mean).

    Returns:
        A normaliser; dimensions that never change keep the deviation of their dimension over all
        slots, or 1.
    """
    num_slots, latent_dim = latents.shape[1:]
    rows = latents.reshape(-1, latent_dim).astype(np.float64)
    if granularity == "scalar":
        scale = np.full((1, latent_dim), rows.std() or 1.0, np.float32)
        return LatentNormalizer(np.zeros((1, latent_dim), np.float32), scale)
    overall = rows.std(axis=0)
    overall = np.where(overall > CONSTANT_SHARE * (overall.max() or 1.0), overall, 1.0)
    if granularity == "dimension":
        return LatentNormalizer(
            rows.mean(axis=0)[None].astype(np.float32), overall[None].astype(np.float32)
        )
    by_slot = latents.astype(np.float64)
    deviation = by_slot.std(axis=0)
    deviation = np.where(deviation > CONSTANT_SHARE * overall, deviation, overall)
    mean = by_slot.mean(axis=0).reshape(num_slots, latent_dim)
    return LatentNormalizer(mean.astype(np.float32), deviation.astype(np.float32))
