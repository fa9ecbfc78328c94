"""PhraseLDM as one object: network, noise schedule, scale of the latents, usual lengths.

How songs are drawn from it is in `sampling`, which no training needs; how it is kept in a folder,
in `pretrained`.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.diffusion.dataset import LatentDataset
from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.noise_schedule import build_noise_schedule
from phrase_models.diffusion.plan import SongPlan
from phrase_models.form.bar_lines import BarLines
from phrase_models.normalizer import (
    Granularity,
    LatentNormalizer,
    fit_normalizer,
)
from phrase_models.tokens.song_layout import SlotLayout, check_layout
from phrase_models.training.randomness import seed_everything


class PhraseLDMConfig(BaseModel):
    """Everything needed to build the network again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    denoiser: DenoiserConfig
    noise_schedule: NoiseScheduleConfig
    layout: SlotLayout
    slots_per_bar: int = Field(ge=1, le=64)
    latent_dim: int = Field(ge=2, le=1024)


class PhraseLDM:
    """The song generator."""

    def __init__(
        self,
        config: PhraseLDMConfig,
        normalizer: LatentNormalizer,
        length_prior: Sequence[SongPlan] = (),
        empty_slot_latents: NDArray[np.float32] | None = None,
        denoiser: Denoiser | None = None,
        bar_lines: BarLines | None = None,
    ) -> None:
        """Build, with random weights from torch's global generator where no network is given.

        Args:
            config: architecture and schedule.
            normalizer: scale of the latents.
            length_prior: plans of the training songs, drawn from where a request leaves them open.
            empty_slot_latents: (S, D), raw latents of silent slots, where they are known.
            denoiser: network of this architecture, or None.
            bar_lines: how the lines of the training songs go on across bar lines, where it is
                known.
        """
        self.config, self.normalizer = config, normalizer
        self.length_prior = tuple(length_prior)
        self.empty_slot_latents, self.bar_lines = empty_slot_latents, bar_lines
        self.denoiser = denoiser or Denoiser(
            config.denoiser, config.slots_per_bar, config.latent_dim
        )
        self.schedule = build_noise_schedule(config.noise_schedule)

    @classmethod
    def for_dataset(
        cls,
        dataset: LatentDataset,
        denoiser: DenoiserConfig,
        noise_schedule: NoiseScheduleConfig,
        *,
        seed: int,
        granularity: Granularity = "slot",
    ) -> Self:
        """An untrained model fitted to a dataset's shape, scale and lengths."""
        seed_everything(seed, "weights")
        config = PhraseLDMConfig(
            denoiser=denoiser,
            noise_schedule=noise_schedule,
            layout=check_layout(dataset.layout),
            slots_per_bar=dataset.slots_per_bar,
            latent_dim=dataset.latent_dim,
        )
        normalizer = fit_normalizer(dataset.training_latents(), granularity)
        plans = [song.plan for song in dataset.split("train")]
        empty = dataset.empty_slot_latents()
        return cls(config, normalizer, plans, empty, bar_lines=dataset.bar_lines)
