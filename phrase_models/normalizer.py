"""Raw latents <-> unit scale; the one place where latents are scaled.

The released code divides by one number and forgets its padding latent; here one object is fitted on
training songs, saved inside every diffusion model and applied to everything alike.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from phrase_models.model_files import read_json_as, unusable
from phrase_models.whole_files import write_whole_json

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
        write_whole_json(path, values)


class NormalizerFile(BaseModel):
    """What `LatentNormalizer.write` writes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: list[list[float]]
    deviation: list[list[float]]


def read_normalizer(path: Path, slots_per_bar: int, latent_dim: int) -> LatentNormalizer:
    """Read what `LatentNormalizer.write` wrote; float32 survives JSON exactly.

    Args:
        path: of the file.
        slots_per_bar: S that it has to be for.
        latent_dim: D that it has to be for.

    Raises:
        ConfigurationError: if there is none, or it is for other latents.
    """
    values = read_json_as(path, NormalizerFile)
    mean, deviation = (
        _table(path, name, rows, slots_per_bar, latent_dim)
        for name, rows in (("mean", values.mean), ("deviation", values.deviation))
    )
    if mean.shape != deviation.shape:
        raise unusable(path, "mean and deviation are of different shapes")
    if not (deviation > 0).all():
        raise unusable(path, "a deviation is not above 0")
    return LatentNormalizer(mean, deviation)


def _table(
    path: Path, name: str, rows: list[list[float]], slots_per_bar: int, latent_dim: int
) -> NDArray[np.float32]:
    if len(rows) not in (1, slots_per_bar) or any(len(row) != latent_dim for row in rows):
        words = f"{name} is not 1 or {slots_per_bar} rows of {latent_dim} numbers"
        raise unusable(path, words)
    with np.errstate(over="ignore"):
        table = np.asarray(rows, np.float32)
    if not np.isfinite(table).all():
        raise unusable(path, f"{name} holds a number that is too great")
    return table


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
