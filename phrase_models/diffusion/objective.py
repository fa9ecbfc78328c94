"""The training loss of PhraseLDM; timesteps, hidden conditions and self-conditioning of a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from phrase_models.diffusion.conditioning import PlanBatch
from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.noise_schedule import (
    NoiseSchedule,
    add_noise,
    error_weights,
    predicted_sample,
    prediction_target,
)

EVERY_SONG = slice(None)
SHARE_WITH_SOME_HIDDEN = 0.5
"""Of the songs of a batch, of whose texture a part is hidden."""


@dataclass(frozen=True, slots=True)
class NoisyBatch:
    """Clean latents with the noise they are mixed with.

    Attributes:
        clean, noise: (B, N, S, D), unit scale.
        timesteps: (B,).
        plans: of the same songs.
        num_estimated: how many songs, from the first on, enter with the network's own estimate from
            a first pass without gradient (arXiv 2208.04202).
    """

    clean: Tensor
    noise: Tensor
    timesteps: Tensor
    plans: PlanBatch
    num_estimated: int = 0

    def __len__(self) -> int:
        return len(self.clean)

    def __getitem__(self, rows: slice) -> "NoisyBatch":
        """Some songs; of those with an estimate the ones among them, which are the first again."""
        return NoisyBatch(
            self.clean[rows],
            self.noise[rows],
            self.timesteps[rows],
            self.plans[rows],
            len(range(self.num_estimated)[rows]),
        )


def draw_timesteps(config: NoiseScheduleConfig, batch_size: int) -> Tensor:
    """Timesteps of a batch (B,), from torch's global generator.

    "stratified" draws one from each of B equal ranges, in random order: the same distribution, with
    less variance from batch to batch.
    """
    places = torch.rand(batch_size)
    if config.timestep_sampling == "stratified":
        places = (torch.randperm(batch_size) + places) / batch_size
    return (places * config.num_timesteps).long().clamp(max=config.num_timesteps - 1)


def draw_num_estimated(batch_size: int) -> int:
    """Half of a batch; of an odd one, a coin decides.

    The songs of a batch are in random order, so the first half serves; a fixed number of rows keeps
    the shapes few.
    """
    odd = batch_size % 2
    return batch_size // 2 + (int(torch.rand(()) < 0.5) if odd else 0)


def hide_conditions(plans: PlanBatch, config: DenoiserConfig) -> PlanBatch:
    """Hide conditions at random so that guidance has an unconditional side.

    Length, sections, form, chords and texture each on its own, and with a chance of its own all at
    once.
    """
    chance, joint = config.condition_dropout, config.joint_dropout
    if not (chance or joint) or config.conditioning == "none":
        return plans
    batch = len(plans.bar_mask)
    device, texture = plans.bar_mask.device, None
    hidden = torch.rand(2, batch) < chance
    if config.form_condition or config.num_chords or config.texture_condition or joint:
        hidden = torch.cat((hidden, torch.rand(2, batch) < chance))
        together = torch.rand(batch) < joint
        hidden = hidden | together
        if config.texture_condition:
            texture = draw_hidden_texture(plans, chance) | together[:, None, None]
    length, sections, *form_and_chords = hidden.to(device)
    form, chords = form_and_chords or (None, None)
    texture = None if texture is None else texture.to(device)
    return plans.hide(length, sections, form, chords, texture)


def draw_hidden_texture(plans: PlanBatch, chance: float) -> Tensor:
    """What of the texture of each song is hidden (B, S, 5), from torch's global generator.

    All of it by `chance`, and in half of the songs a share of the attributes of slots, any share as
    likely as another: a request may say but how high the melody is.
    """
    batch, _, num_slots, num_attributes = plans.texture.shape
    share = torch.rand(batch, 1, 1) * (torch.rand(batch, 1, 1) < SHARE_WITH_SOME_HIDDEN)
    some = torch.rand(batch, num_slots, num_attributes) < share
    return some | (torch.rand(batch, 1, 1) < chance)


def squared_errors(denoiser: Denoiser, schedule: NoiseSchedule, batch: NoisyBatch) -> Tensor:
    """Mean squared error of the prediction over each song's bars (B,), unweighted.

    Of networks that predict x_0 it is that of the estimate, what `skip_variance` adds included.

    Bars outside `plans.bar_mask` and given slots count nothing; where songs are padded by their
    end, all bars count.

    Args:
        denoiser: the network.
        schedule: its noise schedule.
        batch: songs, noise and timesteps.
    """
    alpha, sigma = schedule.levels(batch.timesteps)
    noisy = _known(denoiser, batch, add_noise(batch.clean, batch.noise, alpha, sigma))
    times = schedule.times(batch.timesteps)
    estimate = None
    if batch.num_estimated and denoiser.config.self_conditioning:
        estimate = _first_estimated(denoiser, schedule, noisy, batch)
    output = denoiser(noisy, times, batch.plans, estimate)
    if schedule.prediction == "sample":
        output = predicted_sample(schedule, output, noisy, alpha, sigma)
    target = prediction_target(schedule.prediction, batch.clean, batch.noise, alpha, sigma)
    errors = (output - target).square()
    if denoiser.config.given_share:
        counted = _counted_slots(batch.plans)
        total = (errors.mean(dim=3) * counted).sum(dim=(1, 2))
        return total / counted.sum(dim=(1, 2)).clamp(min=1)
    mask = batch.plans.bar_mask
    return (errors.mean(dim=(2, 3)) * mask).sum(dim=1) / mask.sum(dim=1)


def _counted_slots(plans: PlanBatch) -> Tensor:
    """Slots that are to be written (B, N, S) bool."""
    return plans.bar_mask[:, :, None] & ~plans.given


def _known(denoiser: Denoiser, batch: NoisyBatch, latents: Tensor) -> Tensor:
    """Put the clean latents of given slots in, where the network knows of them."""
    if not denoiser.config.given_share:
        return latents
    return torch.where(batch.plans.given[..., None], batch.clean, latents)


def _first_estimated(
    denoiser: Denoiser, schedule: NoiseSchedule, noisy: Tensor, batch: NoisyBatch
) -> Tensor:
    """Estimates of x_0 for the songs that get one, zeros for the others (B, N, S, D)."""
    estimate = torch.zeros_like(noisy)
    rows = slice(0, batch.num_estimated)
    timesteps = batch.timesteps[rows]
    alpha, sigma = schedule.levels(timesteps)
    with torch.no_grad():
        output = denoiser(noisy[rows], schedule.times(timesteps), batch.plans[rows])
    # Autocast of older PyTorch keeps the half-precision weights it made without gradient and uses
    # them again, so that they would get none (pytorch/pytorch issue 112583, fixed by pull 165068).
    torch.clear_autocast_cache()
    estimate[rows] = predicted_sample(schedule, output, noisy[rows], alpha, sigma)
    if denoiser.config.given_share:  # as in sampling
        given = batch.plans.given[rows, ..., None]
        estimate[rows] = torch.where(given, batch.clean[rows], estimate[rows])
    return estimate


def training_loss(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    config: NoiseScheduleConfig,
    batch: NoisyBatch,
    rows: slice = EVERY_SONG,
) -> dict[str, Tensor]:
    """What some songs have in the scalars of a batch: "loss" with weights, "error" without.

    Every slot that is to be written weighs the same, so longer songs weigh more.
    """
    part = batch[rows]
    errors = squared_errors(denoiser, schedule, part)
    alpha, sigma = schedule.levels(part.timesteps)
    weights = error_weights(config, alpha, sigma).flatten()
    if denoiser.config.given_share:
        counted = _counted_slots(batch.plans).sum(dim=(1, 2))
    else:
        counted = batch.plans.bar_mask.sum(dim=1)
    share = counted[rows] / counted.sum()
    return {"loss": (errors * weights * share).sum(), "error": (errors * share).sum()}
