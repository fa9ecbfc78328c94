"""Drawing rolls of whole songs: segments that overlap, in one batch, one source of chance a song.

Every step of the sampler sees the whole roll: the network looks at segments of it, and where these
overlap their outputs are averaged.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from phrase_models.binomial.config import (
    STEPS_PER_ROLL_BAR,
    BinomialSamplerConfig,
    RollConfig,
)
from phrase_models.binomial.known import KnownCells
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.network import RollCondition, song_places
from phrase_models.binomial.rolls import Roll
from phrase_models.binomial.samplers import SAMPLERS, THRESHOLD, Denoise
from phrase_models.diffusion.samplers import sampling_timesteps
from phrase_models.errors import ConfigurationError
from phrase_models.score.song import MAX_BARS
from phrase_models.training.randomness import derive_seed


@dataclass(frozen=True, slots=True)
class RollRequest:
    """What one roll is asked to be.

    Attributes:
        num_bars: its length.
        known: cells that stay as they are given, or None.
        start: a roll that the new one is a variation of, or None.
        amount: of variation, 0 gives the roll back and 1 forgets it; without a `start` it is 1.
    """

    num_bars: int
    known: KnownCells | None = None
    start: Roll | None = None
    amount: float = 1.0

    def check(self, config: RollConfig) -> None:
        """Refuse what cannot be made.

        Raises:
            ConfigurationError: with a sentence that says what does not fit.
        """
        if not 1 <= self.num_bars <= MAX_BARS:
            message = f"A song of {self.num_bars} bars was asked for; ask for 1 to {MAX_BARS} bars."
            raise ConfigurationError(message)
        if not 0 <= self.amount <= 1:
            message = f"The amount of variation is {self.amount}; give a number from 0 to 1."
            raise ConfigurationError(message)
        shape = roll_shape(config, self.num_bars)
        known = () if self.known is None else (self.known.mask, self.known.values)
        for roll in (*known, *(() if self.start is None else (self.start,))):
            if roll.shape != shape:
                message = (
                    f"A roll of shape {roll.shape} was given for {self.num_bars} bars, which "
                    f"take {shape}; give both one length and the model's planes and pitches."
                )
                raise ConfigurationError(message)


def roll_shape(config: RollConfig, num_bars: int) -> tuple[int, int, int]:
    """(C, S, P) of a song."""
    return config.num_planes, num_bars * STEPS_PER_ROLL_BAR, config.num_pitches


def draw_rolls(
    model: BinomialDiffusion,
    requests: Sequence[RollRequest],
    seed: int,
    sampler: BinomialSamplerConfig | None = None,
    *,
    first_index: int = 0,
) -> list[Roll]:
    """Rolls `first_index` and following of a seed, each the same however many are drawn.

    Args:
        model: trained.
        requests: one a song.
        seed: of all of them.
        sampler: settings; the default ones where None.
        first_index: of the first request among the songs of the seed.

    Returns:
        (C, S, P) bool each; known cells are exactly as given.

    Raises:
        ConfigurationError: if a request does not fit the model.
    """
    for request in requests:
        request.check(model.config.roll)
    settings = sampler or BinomialSamplerConfig()
    return [
        _draw(model, request, torch.Generator().manual_seed(_seed(seed, first_index + i)), settings)
        for i, request in enumerate(requests)
    ]


def _seed(seed: int, index: int) -> int:
    return derive_seed("binomial", seed, index)


def _draw(
    model: BinomialDiffusion,
    request: RollRequest,
    generator: torch.Generator,
    settings: BinomialSamplerConfig,
) -> Roll:
    config, device = model.config.roll, model.device
    shape = roll_shape(config, request.num_bars)
    known = request.known or KnownCells.nothing(shape)
    mask, values = torch.from_numpy(known.mask), torch.from_numpy(known.values & known.mask)
    start = None if request.start is None else torch.from_numpy(request.start).to(device)
    timesteps = _timesteps(model, request, settings)
    if not timesteps and request.start is not None:
        return np.where(known.mask, known.values, request.start)
    denoise = denoiser(model, mask.to(device), values.to(device), settings)

    def draw_uniforms() -> Tensor:
        return torch.rand(shape, generator=generator).to(device)

    with torch.inference_mode():
        estimate = SAMPLERS[settings.sampler](
            denoise, model.process.to(device), timesteps, draw_uniforms, start
        )
    drawn: Roll = (estimate >= THRESHOLD).cpu().numpy()
    return drawn


def _timesteps(
    model: BinomialDiffusion, request: RollRequest, settings: BinomialSamplerConfig
) -> list[int]:
    """Timesteps to visit; none where a song is to come back as it is."""
    count = min(settings.num_sampling_steps, model.process.num_timesteps)
    if request.start is None:
        return sampling_timesteps(model.process.num_timesteps, count)
    reached = round(request.amount * model.process.num_timesteps)
    return sampling_timesteps(reached, max(1, round(count * request.amount))) if reached else []


def denoiser(
    model: BinomialDiffusion, mask: Tensor, values: Tensor, settings: BinomialSamplerConfig
) -> Denoise:
    """The network as a thing that denoises a whole roll.

    Args:
        model: in evaluation mode.
        mask: (C, S, P) bool, known cells, whose estimate is what they are.
        values: (C, S, P) bool, False where nothing is known.
        settings: overlap and precision.
    """
    num_bars = mask.shape[1] // STEPS_PER_ROLL_BAR
    length = min(model.config.roll.segment_bars, num_bars)
    firsts = segment_starts(num_bars, length, settings.overlap_bars)
    condition = RollCondition(
        _segments(mask, firsts, length),
        _segments(values, firsts, length),
        torch.stack([song_places(num_bars, first, length) for first in firsts]).to(mask.device),
    )
    precision = settings.precision == "bf16"

    def denoise(noisy: Tensor, timestep: int) -> Tensor:
        timesteps = torch.full((len(firsts),), timestep, device=noisy.device)
        with torch.autocast(noisy.device.type, torch.bfloat16) if precision else nullcontext():
            output = model.output(_segments(noisy, firsts, length), timesteps, condition)
        estimate = model.probability(_averaged(output, firsts, noisy.shape[1]))
        return torch.where(mask, values.float(), estimate)

    return denoise


def segment_starts(num_bars: int, length: int, overlap: int) -> list[int]:
    """First bars of segments that cover a song, spread evenly, at least `overlap` bars shared."""
    if num_bars <= length:
        return [0]
    hop = max(1, length - overlap)
    count = -(-(num_bars - length) // hop) + 1
    return [round(index * (num_bars - length) / (count - 1)) for index in range(count)]


def _segments(roll: Tensor, firsts: Sequence[int], length: int) -> Tensor:
    """(C, S, P) -> (B, C, S', P)."""
    size = STEPS_PER_ROLL_BAR
    return torch.stack([roll[:, first * size : (first + length) * size] for first in firsts])


def _averaged(segments: Tensor, firsts: Sequence[int], num_steps: int) -> Tensor:
    """(B, C, S', P) -> (C, S, P), the mean where segments overlap."""
    _, planes, length, pitches = segments.shape
    total = segments.new_zeros((planes, num_steps, pitches))
    counts = segments.new_zeros((1, num_steps, 1))
    for segment, first in zip(segments, firsts, strict=True):
        steps = slice(first * STEPS_PER_ROLL_BAR, first * STEPS_PER_ROLL_BAR + length)
        total[:, steps] += segment
        counts[:, steps] += 1
    return total / counts
