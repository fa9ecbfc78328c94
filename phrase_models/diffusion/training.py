"""Training of PhraseLDM for the training loop (paper section 4.3.1)."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from phrase_models.diffusion.conditioning import to_device
from phrase_models.diffusion.dataset import LatentBatch, LatentDataset, SongBatches
from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.given import draw_given
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.objective import (
    NoisyBatch,
    draw_num_estimated,
    draw_timesteps,
    hide_conditions,
    squared_errors,
    training_loss,
)
from phrase_models.training.config import TrainingConfig
from phrase_models.training.randomness import derive_seed, numpy_generator

NUM_VALIDATION_TIMESTEPS = 8
VALIDATION_BATCH = 16
MAX_VALIDATION_SONGS = 64


@dataclass(frozen=True, slots=True)
class WeightedBatch:
    """The songs of one step.

    Attributes:
        songs: with noise and timesteps.
        weight: of their loss. Batches are of short songs or of long ones; every bar of the corpus
            weighs the same.
    """

    songs: NoisyBatch
    weight: float

    def __len__(self) -> int:
        return len(self.songs)


class DiffusionTraining:
    """PhraseLDM as a `Trainable`; `TrainingConfig.batch_size` counts songs.

    Validation measures the unweighted error of the prediction on validation songs (training songs
    where there are none) at fixed timesteps with fixed noise, so it is the same number for the same
    weights.
    """

    def __init__(self, model: PhraseLDM, dataset: LatentDataset, training: TrainingConfig) -> None:
        self.model, self.training = model, training
        self.module: Denoiser = model.denoiser
        config = model.config.denoiser
        train, validation = dataset.split("train"), dataset.split("validation")
        self.batches = SongBatches(train, dataset, model.normalizer, config)
        bars = [config.max_bars if config.pad_with_end else len(song.latents) for song in train]
        self.mean_bars = float(np.mean(bars))
        held_out = sorted(validation or train, key=lambda song: (len(song.latents), song.song_id))
        if len(held_out) > MAX_VALIDATION_SONGS:
            stride = len(held_out) / MAX_VALIDATION_SONGS
            held_out = [held_out[int(index * stride)] for index in range(MAX_VALIDATION_SONGS)]
        self.held_out = SongBatches(held_out, dataset, model.normalizer, config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.module.bar_embedding.weight.device

    def batch(self, step: int) -> WeightedBatch:
        """The songs of a step; noise and timesteps come from torch's global generators.

        Small things are drawn on the CPU; noise where the weights are, for a batch of it takes a
        host longer than the rest of its work.
        """
        training, config = self.training, self.model.config.denoiser
        batch = self.batches.training_batch(training.seed, step, training.batch_size)
        schedule = self.model.config.noise_schedule
        timesteps = draw_timesteps(schedule, len(batch.latents))
        noise = torch.randn(batch.latents.shape, device=self.device)
        plans = hide_conditions(batch.plans, config)
        if config.given_share:
            rng = numpy_generator(training.seed, "given", step)
            lengths = batch.plans.bars_left[:, 0].tolist()
            _, bars, slots = plans.given.shape
            given = draw_given(rng, lengths, (bars, slots), config.given_share)
            plans = replace(plans, given=given)
        noisy = NoisyBatch(
            to_device(batch.latents, self.device),
            noise,
            to_device(timesteps, self.device),
            plans.to(self.device),
            draw_num_estimated(len(batch.latents)) if config.self_conditioning else 0,
        )
        num_bars = float(batch.plans.bar_mask.sum()) / len(batch.latents)
        return WeightedBatch(noisy, num_bars / self.mean_bars)

    def loss(self, batch: WeightedBatch, rows: slice) -> dict[str, Tensor]:
        """What some songs have in the loss of a batch."""
        schedule, settings = self.model.schedule.to(self.device), self.model.config.noise_schedule
        values = training_loss(self.module, schedule, settings, batch.songs, rows)
        return {**values, "loss": values["loss"] * batch.weight}

    def validate(self) -> dict[str, float]:
        """Mean error over validation songs and timesteps; also the noisy and the clean half."""
        precision = (
            torch.autocast(self.device.type, torch.bfloat16)
            if self.training.precision == "bf16"
            else nullcontext()
        )
        count = len(self.held_out.songs)
        totals = torch.zeros(NUM_VALIDATION_TIMESTEPS, dtype=torch.float64)
        with precision:
            for start in range(0, count, VALIDATION_BATCH):
                rows = range(start, min(start + VALIDATION_BATCH, count))
                totals += self._errors(self.held_out.batch(rows), rows)
        means = totals / count
        half = NUM_VALIDATION_TIMESTEPS // 2
        return {
            "score": float(means.mean()),
            "clean_half": float(means[:half].mean()),
            "noisy_half": float(means[half:].mean()),
        }

    def _errors(self, batch: LatentBatch, rows: range) -> Tensor:
        """Sum of the songs' errors at each validation timestep."""
        errors = torch.zeros(NUM_VALIDATION_TIMESTEPS, dtype=torch.float64)
        schedule = self.model.schedule.to(self.device)
        num_timesteps = schedule.num_timesteps
        plans, clean = batch.plans.to(self.device), batch.latents.to(self.device)
        for index in range(NUM_VALIDATION_TIMESTEPS):
            timestep = int((index + 0.5) / NUM_VALIDATION_TIMESTEPS * num_timesteps)
            noise = torch.zeros_like(batch.latents)
            for place, row in enumerate(rows):
                song = self.held_out.songs[row].song_id
                seed = derive_seed("validation", song, index)
                generator = torch.Generator().manual_seed(seed)
                noise[place] = torch.randn(noise.shape[1:], generator=generator)
            timesteps = torch.full((len(rows),), timestep, device=self.device)
            noisy = NoisyBatch(clean, noise.to(self.device), timesteps, plans)
            by_song = squared_errors(self.module, schedule, noisy)
            errors[index] = by_song.double().sum().cpu()
        return errors
