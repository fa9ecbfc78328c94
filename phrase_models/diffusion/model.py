"""PhraseLDM as one object: network, noise schedule, scale of the latents, usual lengths.

A folder holds `model.safetensors`, `config.json`, `normalizer.json` and `length_prior.json`.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from phrase_models.diffusion.conditioning import PlanBatch, collate_plans
from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig, SamplerConfig
from phrase_models.diffusion.dataset import LatentDataset
from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.guidance import Denoise, clipped, guided
from phrase_models.diffusion.noise_schedule import build_noise_schedule, predicted_sample
from phrase_models.diffusion.plan import SongPlan, check_plan, plan_features, plan_from_layout
from phrase_models.diffusion.repeats import join_repeats
from phrase_models.diffusion.samplers import SAMPLERS, sampling_timesteps, song_generator
from phrase_models.errors import ConfigurationError
from phrase_models.normalizer import (
    Granularity,
    LatentNormalizer,
    fit_normalizer,
    read_normalizer,
)
from phrase_models.training.checkpoint import load_weights, module_weights, save_weights
from phrase_models.training.randomness import numpy_generator, seed_everything

FORMAT_VERSION = 1

Progress = Callable[[int, int], None]


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
    ) -> None:
        """Build with random weights from torch's global generator.

        Args:
            config: architecture and schedule.
            normalizer: scale of the latents.
            length_prior: plans of the training songs, drawn from where a request leaves them open.
        """
        self.config, self.normalizer = config, normalizer
        self.length_prior = tuple(length_prior)
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
        return cls(config, normalizer, [song.plan for song in dataset.split("train")])

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
        prior = [
            plan_from_layout(entry["section_layout"], entry["num_bars"])
            for entry in json.loads((folder / "length_prior.json").read_text())
        ]
        config = PhraseLDMConfig.model_validate(description["config"])
        model = cls(config, read_normalizer(folder / "normalizer.json"), prior)
        load_weights(model.denoiser, folder / "model.safetensors")
        model.denoiser.eval()
        return model

    # ------------------------------------------------------------------ plans
    def resolve_plans(
        self, plans: Sequence[SongPlan], seed: int, first_index: int = 0
    ) -> list[SongPlan]:
        """Fill in what the requests leave open and the model needs, as `sample` does.

        A missing plan is drawn from those of the training songs with a generator of the song's own;
        missing sections from those of the same length, or hidden where there is none.

        Raises:
            ConfigurationError: if a request is too long, or cannot be filled in.
        """
        return [
            self._resolve(plan, numpy_generator("plan", seed, first_index + offset))
            for offset, plan in enumerate(plans)
        ]

    def _resolve(self, plan: SongPlan, rng: np.random.Generator) -> SongPlan:
        config = self.config.denoiser
        plan = check_plan(plan, config.max_bars)
        wants_sections = config.conditioning == "sections" and not plan.sections
        wants_length = plan.num_bars is None and not (
            config.conditioning == "none" and config.pad_with_end
        )
        if not wants_sections and not wants_length:
            return plan
        candidates = [
            known
            for known in self.length_prior
            if plan.num_bars in (None, known.num_bars) and (known.sections or not wants_sections)
        ]
        if candidates:
            drawn = candidates[int(rng.integers(len(candidates)))]
            return drawn if wants_sections else SongPlan(drawn.num_bars)
        if plan.num_bars is not None and config.condition_dropout:
            return plan
        message = (
            f"No training song has {plan.num_bars or 'a known number of'} bars to take the "
            "sections from; give a section layout such as 'i4 A8 B8 o4'."
        )
        raise ConfigurationError(message)

    # ------------------------------------------------------------------ sampling
    def sample(
        self,
        plans: Sequence[SongPlan],
        seed: int,
        sampler: SamplerConfig,
        *,
        first_index: int = 0,
        batch_size: int = 1,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
    ) -> list[NDArray[np.float32]]:
        """Draw songs.

        Song k depends on `seed` and `first_index` + k alone, bit for bit at the default batch size;
        in larger batches the shapes of the arithmetic differ, and so may last digits.

        Args:
            plans: one request a song; what is left open is filled in as in `resolve_plans`.
            seed: of all songs.
            sampler: solver and its settings.
            first_index: index of the first song, to go on where an earlier call ended.
            batch_size: songs at a time.
            device: where the network runs.
            progress: called with (network evaluations done, all of them).

        Returns:
            Raw latents (num_bars, S, D) of each song; of models that pad with the end of song all
            `max_bars` bars, to be cut at the first end of song.

        Raises:
            ConfigurationError: if a request cannot be met.
        """
        resolved = self.resolve_plans(plans, seed, first_index)
        device = torch.device(device)
        self.denoiser.to(device).eval()
        timesteps = sampling_timesteps(self.schedule.num_timesteps, sampler.num_sampling_steps)
        num_batches = -(-len(plans) // batch_size)
        songs: list[NDArray[np.float32]] = []
        for start in range(0, len(plans), batch_size):
            chunk = resolved[start : start + batch_size]
            index = first_index + start
            generators = [song_generator(seed, index + row) for row in range(len(chunk))]

            def report(done: int, start: int = start) -> None:
                if progress is not None:
                    before = start // batch_size * len(timesteps)
                    progress(before + done, num_batches * len(timesteps))

            songs += self._sample_batch(chunk, generators, sampler, timesteps, device, report)
        return songs

    @torch.no_grad()
    def _sample_batch(
        self,
        plans: Sequence[SongPlan],
        generators: Sequence[torch.Generator],
        sampler: SamplerConfig,
        timesteps: Sequence[int],
        device: torch.device,
        report: Callable[[int], None],
    ) -> list[NDArray[np.float32]]:
        config = self.config.denoiser
        bars = [config.max_bars if config.pad_with_end else plan.num_bars or 1 for plan in plans]
        shape = (len(plans), max(bars), self.config.slots_per_bar, self.config.latent_dim)

        def draw_noise() -> Tensor:
            noise = torch.zeros(shape)
            for row, (num_bars, generator) in enumerate(zip(bars, generators, strict=True)):
                noise[row, :num_bars] = torch.randn((num_bars, *shape[2:]), generator=generator)
            return noise.to(device)

        denoise = self._denoise(self._plan_batch(plans, max(bars)).to(device), sampler)
        done = 0

        def counting(noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
            nonlocal done
            result = denoise(noisy, timestep, estimate)
            done += 1
            report(done)
            return result

        precision = (
            torch.autocast(device.type, torch.bfloat16)
            if sampler.precision == "bf16"
            else nullcontext()
        )
        with precision:
            clean = SAMPLERS[sampler.solver](counting, self.schedule, timesteps, draw_noise)
        latents = clean.float().cpu().numpy()
        songs = [latents[row, :num_bars] for row, num_bars in enumerate(bars)]
        if sampler.repeat_distance is not None:
            songs = [join_repeats(song, sampler.repeat_distance) for song in songs]
        return [self.normalizer.denormalise(song) for song in songs]

    def _plan_batch(self, plans: Sequence[SongPlan], num_bars: int) -> PlanBatch:
        features = [plan_features(plan.num_bars or num_bars, plan.sections) for plan in plans]
        return collate_plans(features, num_bars, self.config.denoiser)

    def _denoise(self, plans: PlanBatch, sampler: SamplerConfig) -> Denoise:
        """The network as a thing that denoises, guided and clipped as configured."""
        first, last = sampler.guidance_interval
        final = self.schedule.num_timesteps - 1

        def active(timestep: int) -> bool:
            return first <= timestep / final <= last

        scale = sampler.guidance_scale if self.config.denoiser.conditioning != "none" else 1.0
        if scale != 1.0 and not self.config.denoiser.condition_dropout:
            message = (
                "This model was trained without condition dropout and cannot be guided; "
                "set guidance_scale to 1."
            )
            raise ConfigurationError(message)
        both = guided(self._network(plans), self._network(plans.hide_all()), scale, active)
        return clipped(both, sampler.clip_value)

    def _network(self, plans: PlanBatch) -> Denoise:
        self_conditioning = self.config.denoiser.self_conditioning

        def denoise(noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
            timesteps = torch.full((len(noisy),), timestep, device=noisy.device)
            known = estimate if self_conditioning else None
            output = self.denoiser(noisy, self.schedule.times(timesteps), plans, known)
            alpha, sigma = self.schedule.levels(timesteps)
            return predicted_sample(self.schedule.prediction, output, noisy, alpha, sigma)

        return denoise


def _write_json(path: Path, value: Any) -> None:
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(value, indent=1))
    aside.replace(path)
