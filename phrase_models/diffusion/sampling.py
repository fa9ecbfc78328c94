"""Drawing songs from PhraseLDM: requests filled in, noise to latents, one generator a song."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.diffusion.conditioning import PlanBatch, collate_plans
from phrase_models.diffusion.fixed_slots import (
    EXACT,
    FixedSlots,
    corrected,
    fix_slots,
    serving_bars,
)
from phrase_models.diffusion.given import GivenSlots
from phrase_models.diffusion.guidance import Denoise, clipped, guided
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.noise_schedule import predicted_sample
from phrase_models.diffusion.plan import (
    PlanFeatures,
    SongPlan,
    check_plan,
    check_vocabulary,
    features_of_plan,
)
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.samplers import (
    SAMPLERS,
    DrawNoise,
    renoised,
    sampling_timesteps,
    song_generator,
)
from phrase_models.errors import ConfigurationError
from phrase_models.form.form_lending import LendingSong, lend_to_form, lend_to_layout
from phrase_models.form.texture_and_form import fit_to_texture
from phrase_models.training.randomness import numpy_generator

Progress = Callable[[int, int], None]
Reencode = Callable[[Sequence[NDArray[np.float32]]], list[NDArray[np.float32]]]
"""Raw latents (N, S, D) of songs to those of the phrases that they decode to."""
NUM_LENDERS = 16
"""Training songs of similar layouts, of which one lends to a song that has but sections."""
MOST_IN_PLACE = 0.35
"""Share of the bars of a song that may be lent the bar of the same number; of one in ten training
songs of similar layouts it would be more."""


def resolve_plans(
    model: PhraseLDM, plans: Sequence[SongPlan], seed: int, first_index: int = 0
) -> list[SongPlan]:
    """Fill in what the requests leave open and the model needs, as `draw_songs` does.

    A missing plan is drawn from those of the training songs with a generator of the song's own;
    missing sections from those of the same length, or hidden where there is none. Form, chords and
    texture come along, unless the request has any of them. Where the request has sections and a
    model that knows forms gets none, the most similar training layout lends its own, fitted
    (`form_lending`), with its chords and its texture where the request has none; hidden where there
    is no such song. A form that is lent to a texture is fitted to it, too (`fit_to_texture`). A
    form without chords or texture gets them of one training song (`lend_to_form`).

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
    check_vocabulary(plan, model.config.slots_per_bar, config.num_chords)
    wants_sections = config.conditioning == "sections" and not plan.sections
    wants_length = plan.num_bars is None and not (
        config.conditioning == "none" and config.pad_with_end
    )
    if not wants_sections and not wants_length:
        return _with_lent_form(model, plan, rng)
    candidates = [
        known
        for known in model.length_prior
        if plan.num_bars in (None, known.num_bars) and (known.sections or not wants_sections)
    ]
    if candidates:
        drawn = candidates[int(rng.integers(len(candidates)))]
        drawn = replace(
            drawn,
            chords=drawn.chords if config.num_chords else None,
            texture=drawn.texture if config.texture_condition else None,
        )
        if any(part is not None for part in (plan.form, plan.chords, plan.texture)):
            drawn = replace(drawn, form=plan.form, chords=plan.chords, texture=plan.texture)
            drawn = _with_lent_rest(model, drawn, rng)
        return drawn if wants_sections else replace(drawn, sections=())
    if plan.num_bars is not None and config.condition_dropout:
        return plan
    message = (
        f"No training song has {plan.num_bars or 'a known number of'} bars to take the "
        "sections from; give a section layout such as 'i4 A8 B8 o4'."
    )
    raise ConfigurationError(message)


def _with_lent_form(model: PhraseLDM, plan: SongPlan, rng: np.random.Generator) -> SongPlan:
    """A plan of known sections with form, chords and texture where it lacks what a model knows."""
    config = model.config.denoiser
    if not config.form_condition or not plan.sections:
        return plan
    if plan.form is not None:
        return _with_lent_rest(model, plan, rng)
    try:
        lent = lend_to_layout(rng, lending_songs(model), plan.sections, *_lending_limits(model))
    except ConfigurationError:  # no training song of another layout
        return plan
    return with_parts_of(model, plan, lent)


def with_parts_of(model: PhraseLDM, plan: SongPlan, lent: LendingSong) -> SongPlan:
    """A plan without a form with that of a song fitted to its layout, and what else it lacks.

    Chords and texture come along where the plan has none and the model knows them; to a texture
    that the plan has the form is fitted.
    """
    config = model.config.denoiser
    chords = lent.chords if config.num_chords and plan.chords is None else plan.chords
    if plan.texture is not None:
        return replace(plan, form=fit_to_texture(lent.form, plan.texture), chords=chords)
    texture = lent.texture if config.texture_condition else None
    return replace(plan, form=lent.form, chords=chords, texture=texture)


def _with_lent_rest(model: PhraseLDM, plan: SongPlan, rng: np.random.Generator) -> SongPlan:
    """A plan with sections and a form of its own, with what else it lacks of one training song."""
    config = model.config.denoiser
    wants_chords = config.num_chords > 0 and plan.chords is None
    wants_texture = config.texture_condition and plan.texture is None
    if not (wants_chords or wants_texture) or plan.form is None or not plan.sections:
        return plan
    songs = lending_songs(model)
    if wants_texture:
        songs = [song for song in songs if song.texture is not None]
    try:
        lent = lend_to_form(rng, songs, plan.sections, plan.form, *_lending_limits(model))
    except ConfigurationError:  # no training song of another layout
        return plan
    return replace(
        plan,
        chords=lent.chords if wants_chords else plan.chords,
        texture=lent.texture if wants_texture else plan.texture,
    )


def _lending_limits(model: PhraseLDM) -> tuple[int, float]:
    """How many training songs may lend, and the share of bars that may stay in their places.

    By one texture songs would be too alike, and with texture and chords in its places a song comes
    near to the one that lends them.
    """
    return (NUM_LENDERS, MOST_IN_PLACE) if model.config.denoiser.texture_condition else (1, 1.0)


def lending_songs(model: PhraseLDM) -> list[LendingSong]:
    """Training songs of a model that have sections and a form."""
    return [
        LendingSong(known.sections, known.form, known.chords, known.texture)
        for known in model.length_prior
        if known.sections and known.form is not None
    ]


def draw_songs(
    model: PhraseLDM,
    plans: Sequence[SongPlan],
    seed: int,
    sampler: SamplerConfig,
    *,
    given: Sequence[GivenSlots | None] | None = None,
    first_index: int = 0,
    batch_size: int = 1,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    reencode: Reencode | None = None,
) -> list[NDArray[np.float32]]:
    """Draw songs.

    With `sampler.second_pass`, a song that was drawn is decoded and encoded again, which leaves
    phrases that are possible where latents had errors, gets noise up to that time, and is denoised
    once more under the same plan.

    Song k depends on `seed` and `first_index` + k alone, bit for bit at the default batch size;
    in larger batches the shapes of the arithmetic differ, and so may last digits.

    Args:
        model: that draws them.
        plans: one request a song; what is left open is filled in as in `resolve_plans`.
        seed: of all songs.
        sampler: solver and its settings.
        given: slots of each song that are known, None where there are none: they come back bit for
            bit. A model trained without `given_share` sees them noised like all others.
        first_index: index of the first song, to go on where an earlier call ended.
        batch_size: songs at a time.
        device: where the network runs.
        progress: called with (network evaluations done, all of them).
        reencode: decodes and encodes songs; a second pass needs it.

    Returns:
        Raw latents (num_bars, S, D) of each song; of models that pad with the end of song all
        `max_bars` bars, to be cut at the first end of song.

    Raises:
        ConfigurationError: if a request cannot be met.
    """
    if sampler.second_pass and reencode is None:
        message = (
            "A second pass decodes and encodes songs, and nothing was given that does; set "
            "second_pass to 0."
        )
        raise ConfigurationError(message)
    given = [None] * len(plans) if given is None else given
    resolved = resolve_plans(model, plans, seed, first_index)
    device = torch.device(device)
    model.denoiser.to(device).eval()
    passes = _passes(model, sampler)
    steps = sum(len(one.timesteps) for one in passes)
    num_batches = -(-len(plans) // batch_size)
    songs: list[NDArray[np.float32]] = []
    for start in range(0, len(plans), batch_size):
        rows = slice(start, start + batch_size)
        chunk = resolved[rows]
        index = first_index + start
        generators = [song_generator(seed, index + row) for row in range(len(chunk))]

        def report(done: int, start: int = start) -> None:
            if progress is not None:
                progress(start // batch_size * steps + done, num_batches * steps)

        songs += _sample_batch(
            model, chunk, given[rows], generators, sampler, passes, device, report, reencode
        )
    return songs


@dataclass(frozen=True, slots=True)
class _Pass:
    timesteps: Sequence[int]
    guidance_scale: float


def _passes(model: PhraseLDM, sampler: SamplerConfig) -> list[_Pass]:
    """The first pass, and the second where there is one."""
    count = model.schedule.num_timesteps
    passes = [_Pass(sampling_timesteps(count, sampler.num_sampling_steps), sampler.guidance_scale)]
    if sampler.second_pass:
        timesteps = sampling_timesteps(count, sampler.second_pass_steps, sampler.second_pass)
        passes.append(_Pass(timesteps, sampler.second_pass_guidance))
    return passes


@torch.no_grad()
def _sample_batch(
    model: PhraseLDM,
    plans: Sequence[SongPlan],
    given: Sequence[GivenSlots | None],
    generators: Sequence[torch.Generator],
    sampler: SamplerConfig,
    passes: Sequence[_Pass],
    device: torch.device,
    report: Callable[[int], None],
    reencode: Reencode | None,
) -> list[NDArray[np.float32]]:
    config = model.config.denoiser
    bars = [config.max_bars if config.pad_with_end else plan.num_bars or 1 for plan in plans]
    shape = (len(plans), max(bars), model.config.slots_per_bar, model.config.latent_dim)

    def draw_noise() -> Tensor:
        noise = torch.zeros(shape)
        for row, (num_bars, generator) in enumerate(zip(bars, generators, strict=True)):
            noise[row, :num_bars] = torch.randn((num_bars, *shape[2:]), generator=generator)
        return noise.to(device)

    features = [features_of_plan(plan, plan.num_bars or max(bars)) for plan in plans]
    fixed = _fix(model, features, given, sampler, max(bars)).to(device)
    given_mask = _given_mask(given, fixed)
    batch = collate_plans(features, max(bars), config, num_slots=shape[2])
    batch = replace(batch, given=given_mask).to(device)
    done = 0

    def sample(one: _Pass, draw: DrawNoise) -> list[NDArray[np.float32]]:
        denoise = _denoise(model, batch, fixed, sampler, one.guidance_scale)

        def counting(noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
            nonlocal done
            result = denoise(noisy, timestep, estimate)
            done += 1
            report(done)
            return result

        with _precision(sampler, device):
            clean = SAMPLERS[sampler.solver](counting, model.schedule, one.timesteps, draw)
        latents = clean.float().cpu().numpy()
        songs = []
        for row, num_bars in enumerate(bars):
            song = model.normalizer.denormalise(latents[row, :num_bars])
            songs.append(_finish(song, features[row], given[row], copies=sampler.copies))
        return songs

    first, *later = passes
    songs = sample(first, draw_noise)
    for one in later:
        assert reencode is not None  # looked at by `draw_songs`
        clean = torch.zeros(shape)
        for row, song in enumerate(reencode(songs)):
            clean[row, : len(song)] = torch.from_numpy(model.normalizer.normalise(song))
        clean = fixed.correct(clean.to(device), follow=False)
        songs = sample(one, renoised(clean, model.schedule, one.timesteps[0], draw_noise))
    return songs


def _precision(sampler: SamplerConfig, device: torch.device) -> AbstractContextManager[object]:
    half = sampler.precision == "bf16"
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()


def _fix(
    model: PhraseLDM,
    features: Sequence[PlanFeatures],
    given: Sequence[GivenSlots | None],
    sampler: SamplerConfig,
    num_bars: int,
) -> FixedSlots:
    """What plans and given slots fix, at unit scale."""
    shape = (model.config.slots_per_bar, model.config.latent_dim)
    empty = None
    if sampler.force_silence:
        if model.empty_slot_latents is None:
            message = (
                "This model does not know the latents of silent slots, for it was trained without "
                "forms; set force_silence to false."
            )
            raise ConfigurationError(message)
        empty = model.normalizer.normalise(model.empty_slot_latents)
    unit: list[GivenSlots | None] = []
    for plan, slots in zip(features, given, strict=True):
        if slots is None:
            unit.append(None)
            continue
        slots.check((plan.num_bars, *shape))
        unit.append(GivenSlots(slots.mask, model.normalizer.normalise(slots.latents)))
    return fix_slots(features, unit, empty, num_bars, shape, sampler)


def _given_mask(given: Sequence[GivenSlots | None], fixed: FixedSlots) -> Tensor:
    """Which slots a request gave, (B, N, S) bool; silent ones are not among them."""
    mask = torch.zeros_like(fixed.known)
    for row, slots in enumerate(given):
        if slots is not None:
            mask[row, : len(slots.mask)] = torch.from_numpy(slots.mask)
    return mask


def _finish(
    song: NDArray[np.float32], plan: PlanFeatures, given: GivenSlots | None, *, copies: bool
) -> NDArray[np.float32]:
    """Put given slots back as they came, and into their copies; all raw (N, S, D)."""
    if given is None:
        return song
    song, bars = song.copy(), plan.num_bars
    song[:bars][given.mask] = given.latents[given.mask]
    if copies and plan.classes is not None:
        serving = serving_bars(plan.classes[EXACT], given.mask)
        song[:bars] = np.take_along_axis(song[:bars], serving[..., None], axis=0)
        song[:bars][given.mask] = given.latents[given.mask]
    return song


def _denoise(
    model: PhraseLDM,
    plans: PlanBatch,
    fixed: FixedSlots,
    sampler: SamplerConfig,
    guidance_scale: float,
) -> Denoise:
    """The network as a thing that denoises: guided, clipped and corrected as configured."""
    first, last = sampler.guidance_interval
    final = model.schedule.num_timesteps - 1

    def active(timestep: int) -> bool:
        return first <= timestep / final <= last

    config = model.config.denoiser
    scale = guidance_scale if config.conditioning != "none" else 1.0
    if scale != 1.0 and not (config.condition_dropout or config.joint_dropout):
        message = (
            "This model was trained without condition dropout and cannot be guided; "
            "set guidance_scale to 1."
        )
        raise ConfigurationError(message)
    weak = plans.hide_form() if sampler.guidance_hides == "form" else plans.hide_all()
    both = guided(_network(model, plans, fixed), _network(model, weak, fixed), scale, active)
    return corrected(clipped(both, sampler.clip_value), fixed, final * sampler.variation_start)


def _network(model: PhraseLDM, plans: PlanBatch, fixed: FixedSlots) -> Denoise:
    config = model.config.denoiser
    schedule = model.schedule.to(plans.bar_mask.device)

    def denoise(noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
        if config.given_share:
            noisy = torch.where(plans.given[..., None], fixed.latents, noisy)
        timesteps = torch.full((len(noisy),), timestep, device=noisy.device)
        known = estimate if config.self_conditioning else None
        output = model.denoiser(noisy, schedule.times(timesteps), plans, known)
        alpha, sigma = schedule.levels(timesteps)
        return predicted_sample(schedule, output, noisy, alpha, sigma)

    return denoise
