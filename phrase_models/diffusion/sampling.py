"""Drawing songs from PhraseLDM: requests filled in, noise to latents, one generator a song."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.diffusion.conditioning import PlanBatch, collate_plans
from phrase_models.diffusion.guidance import Denoise, clipped, guided
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.noise_schedule import predicted_sample
from phrase_models.diffusion.plan import SongPlan, check_plan, plan_features
from phrase_models.diffusion.repeats import join_repeats
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.samplers import SAMPLERS, sampling_timesteps, song_generator
from phrase_models.errors import ConfigurationError
from phrase_models.training.randomness import numpy_generator

Progress = Callable[[int, int], None]


def resolve_plans(
    model: PhraseLDM, plans: Sequence[SongPlan], seed: int, first_index: int = 0
) -> list[SongPlan]:
    """Fill in what the requests leave open and the model needs, as `draw_songs` does.

    A missing plan is drawn from those of the training songs with a generator of the song's own;
    missing sections from those of the same length, or hidden where there is none.

    Raises:
        ConfigurationError: if a request is too long, or cannot be filled in.
    """
    return [
        _resolve(model, plan, numpy_generator("plan", seed, first_index + offset))
        for offset, plan in enumerate(plans)
    ]


def _resolve(model: PhraseLDM, plan: SongPlan, rng: np.random.Generator) -> SongPlan:
    config = model.config.denoiser
    plan = check_plan(plan, config.max_bars)
    wants_sections = config.conditioning == "sections" and not plan.sections
    wants_length = plan.num_bars is None and not (
        config.conditioning == "none" and config.pad_with_end
    )
    if not wants_sections and not wants_length:
        return plan
    candidates = [
        known
        for known in model.length_prior
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


def draw_songs(
    model: PhraseLDM,
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
        model: that draws them.
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
    resolved = resolve_plans(model, plans, seed, first_index)
    device = torch.device(device)
    model.denoiser.to(device).eval()
    timesteps = sampling_timesteps(model.schedule.num_timesteps, sampler.num_sampling_steps)
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

        songs += _sample_batch(model, chunk, generators, sampler, timesteps, device, report)
    return songs


@torch.no_grad()
def _sample_batch(
    model: PhraseLDM,
    plans: Sequence[SongPlan],
    generators: Sequence[torch.Generator],
    sampler: SamplerConfig,
    timesteps: Sequence[int],
    device: torch.device,
    report: Callable[[int], None],
) -> list[NDArray[np.float32]]:
    config = model.config.denoiser
    bars = [config.max_bars if config.pad_with_end else plan.num_bars or 1 for plan in plans]
    shape = (len(plans), max(bars), model.config.slots_per_bar, model.config.latent_dim)

    def draw_noise() -> Tensor:
        noise = torch.zeros(shape)
        for row, (num_bars, generator) in enumerate(zip(bars, generators, strict=True)):
            noise[row, :num_bars] = torch.randn((num_bars, *shape[2:]), generator=generator)
        return noise.to(device)

    denoise = _denoise(model, _plan_batch(model, plans, max(bars)).to(device), sampler)
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
        clean = SAMPLERS[sampler.solver](counting, model.schedule, timesteps, draw_noise)
    latents = clean.float().cpu().numpy()
    songs = [latents[row, :num_bars] for row, num_bars in enumerate(bars)]
    if sampler.repeat_distance is not None:
        songs = [join_repeats(song, sampler.repeat_distance) for song in songs]
    return [model.normalizer.denormalise(song) for song in songs]


def _plan_batch(model: PhraseLDM, plans: Sequence[SongPlan], num_bars: int) -> PlanBatch:
    features = [plan_features(plan.num_bars or num_bars, plan.sections) for plan in plans]
    return collate_plans(features, num_bars, model.config.denoiser)


def _denoise(model: PhraseLDM, plans: PlanBatch, sampler: SamplerConfig) -> Denoise:
    """The network as a thing that denoises, guided and clipped as configured."""
    first, last = sampler.guidance_interval
    final = model.schedule.num_timesteps - 1

    def active(timestep: int) -> bool:
        return first <= timestep / final <= last

    scale = sampler.guidance_scale if model.config.denoiser.conditioning != "none" else 1.0
    if scale != 1.0 and not model.config.denoiser.condition_dropout:
        message = (
            "This model was trained without condition dropout and cannot be guided; "
            "set guidance_scale to 1."
        )
        raise ConfigurationError(message)
    both = guided(_network(model, plans), _network(model, plans.hide_all()), scale, active)
    return clipped(both, sampler.clip_value)


def _network(model: PhraseLDM, plans: PlanBatch) -> Denoise:
    self_conditioning = model.config.denoiser.self_conditioning

    def denoise(noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
        timesteps = torch.full((len(noisy),), timestep, device=noisy.device)
        known = estimate if self_conditioning else None
        output = model.denoiser(noisy, model.schedule.times(timesteps), plans, known)
        alpha, sigma = model.schedule.levels(timesteps)
        return predicted_sample(model.schedule.prediction, output, noisy, alpha, sigma)

    return denoise
