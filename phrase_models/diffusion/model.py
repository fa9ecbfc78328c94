"""PhraseLDM as one object: network, noise schedule, scale of the latents, usual lengths.

How songs are drawn from it is in `sampling`, which no training needs.

A folder holds `model.safetensors`, `config.json`, `normalizer.json` and `length_prior.json`; where
the training songs have form and chords, also the files of `plan_arrays`, its rows in the order of
the length prior, and `empty_slot_latents.npy`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.diffusion.dataset import LatentDataset
from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.noise_schedule import build_noise_schedule
from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.errors import ConfigurationError
from phrase_models.normalizer import (
    Granularity,
    LatentNormalizer,
    fit_normalizer,
    read_normalizer,
)
from phrase_models.training.checkpoint import load_weights, module_weights, save_weights
from phrase_models.training.randomness import seed_everything

FORMAT_VERSION = 1
EMPTY_SLOTS_FILE = "empty_slot_latents.npy"


class PhraseLDMConfig(BaseModel):
    """Everything needed to build the network again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    denoiser: DenoiserConfig
    noise_schedule: NoiseScheduleConfig
    layout: str
    slots_per_bar: int
    latent_dim: int


class PhraseLDM:
    """The song generator."""

    def __init__(
        self,
        config: PhraseLDMConfig,
        normalizer: LatentNormalizer,
        length_prior: Sequence[SongPlan] = (),
        empty_slot_latents: NDArray[np.float32] | None = None,
    ) -> None:
        """Build with random weights from torch's global generator.

        Args:
            config: architecture and schedule.
            normalizer: scale of the latents.
            length_prior: plans of the training songs, drawn from where a request leaves them open.
            empty_slot_latents: (S, D), raw latents of silent slots, where they are known.
        """
        self.config, self.normalizer = config, normalizer
        self.length_prior = tuple(length_prior)
        self.empty_slot_latents = empty_slot_latents
        self.denoiser = Denoiser(config.denoiser, config.slots_per_bar, config.latent_dim)
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
            layout=dataset.layout,
            slots_per_bar=dataset.slots_per_bar,
            latent_dim=dataset.latent_dim,
        )
        normalizer = fit_normalizer(dataset.training_latents(), granularity)
        plans = [song.plan for song in dataset.split("train")]
        return cls(config, normalizer, plans, dataset.empty_slot_latents())

    # ------------------------------------------------------------------ folder
    def save(self, folder: Path) -> None:
        """Write the model."""
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(module_weights(self.denoiser), folder / "model.safetensors")
        self.normalizer.write(folder / "normalizer.json")
        prior = [
            {"num_bars": plan.num_bars, "section_layout": plan.section_layout}
            for plan in self.length_prior
        ]
        _write_json(folder / "length_prior.json", prior)
        PlanArrays.of_plans(self.length_prior).write(folder)
        if self.empty_slot_latents is not None:
            np.save(folder / EMPTY_SLOTS_FILE, self.empty_slot_latents)
        description = {
            "class": "PhraseLDM",
            "format_version": FORMAT_VERSION,
            "config": self.config.model_dump(),
        }
        _write_json(folder / "config.json", description)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, in eval mode on the CPU.

        Raises:
            ConfigurationError: if there is no model, or one of a newer format.
        """
        if not (folder / "config.json").exists():
            message = f"There is no PhraseLDM in {folder}; train one or name another folder."
            raise ConfigurationError(message)
        description = json.loads((folder / "config.json").read_text())
        found = description["format_version"]
        if found > FORMAT_VERSION:
            message = (
                f"The model in {folder} has format {found}, this program reads up to "
                f"{FORMAT_VERSION}; update the program."
            )
            raise ConfigurationError(message)
        config = PhraseLDMConfig.model_validate(description["config"])
        empty = folder / EMPTY_SLOTS_FILE
        model = cls(
            config,
            read_normalizer(folder / "normalizer.json"),
            _read_plans(folder),
            np.load(empty) if empty.exists() else None,
        )
        load_weights(model.denoiser, folder / "model.safetensors")
        model.denoiser.eval()
        return model


def _read_plans(folder: Path) -> list[SongPlan]:
    arrays, first_bar, plans = PlanArrays.read(folder), 0, []
    for entry in json.loads((folder / "length_prior.json").read_text()):
        plan = plan_from_layout(entry["section_layout"], entry["num_bars"])
        plans.append(arrays.complete(plan, first_bar))
        first_bar += plan.num_bars or 0
    return plans


def _write_json(path: Path, value: Any) -> None:
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(value, indent=1))
    aside.replace(path)
