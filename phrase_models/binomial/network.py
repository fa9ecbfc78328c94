"""What every network of binomial diffusion takes and gives."""

import math
from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from phrase_models.binomial.config import BinomialConfig, TimeNetworkConfig

MOST_BARS_COUNTED = 32
"""Bars from the beginning or to the end of a song count up to here."""
NUM_PLACES = MOST_BARS_COUNTED + 2
PAST_END = NUM_PLACES - 1
"""The place of bars that pad a segment."""


@dataclass(frozen=True, slots=True)
class RollCondition:
    """What is known of B segments beside their noisy cells.

    Attributes:
        mask: (B, C, S, P) bool, known cells.
        values: (B, C, S, P) bool, what they are; False where they are not known.
        places: (B, N, 2) int64, of every bar the bars before it in the song and after it, up to
            MOST_BARS_COUNTED; PAST_END where the song is over.
    """

    mask: Tensor
    values: Tensor
    places: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Move all tensors."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def __getitem__(self, rows: slice) -> Self:
        """Of some of the segments."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})


class RollNetwork(Protocol):
    """(noisy cells, times, condition) -> what the objective asks of every cell."""

    def __call__(self, noisy: Tensor, times: Tensor, condition: RollCondition) -> Tensor:
        """Of (B, C, S, P) bool and (B,) in [0, 1] -> (B, C, S, P)."""


def song_places(num_bars: int, first: int = 0, count: int | None = None) -> Tensor:
    """Places (count, 2) of the bars from `first` on in a song of `num_bars`."""
    bars = torch.arange(first, first + (num_bars if count is None else count))
    places = torch.stack((bars, num_bars - 1 - bars), dim=-1)
    return torch.where(
        (bars < num_bars)[:, None], places.clamp(max=MOST_BARS_COUNTED), torch.tensor(PAST_END)
    )


def build_network(config: BinomialConfig) -> nn.Module:
    """The network of a configuration, with random weights."""
    if isinstance(config.network, TimeNetworkConfig):
        from phrase_models.binomial.time_network import TimeNetwork

        return TimeNetwork(config.roll, config.network, knows_cells=knows_cells(config))
    from phrase_models.binomial.unet import UNet

    return UNet(config.roll, config.network, knows_cells=knows_cells(config))


def knows_cells(config: BinomialConfig) -> bool:
    """Whether the network is told known cells."""
    return config.objective.known_share > 0


def input_planes(noisy: Tensor, condition: RollCondition, *, with_known: bool) -> Tensor:
    """Noisy cells (B, C, S, P), with mask and values of known cells as further planes, bool."""
    if not with_known:
        return noisy
    return torch.cat((noisy, condition.mask, condition.values), dim=1)


def as_numbers(cells: Tensor) -> Tensor:
    """Bool cells as what the first layer works in, so that autocast converts nothing."""
    kind = cells.device.type
    half = torch.is_autocast_enabled(kind)
    return cells.to(torch.get_autocast_dtype(kind) if half else torch.float32)


class TimeEmbedding(nn.Module):
    """Times (B,) in [0, 1] -> (B, width): sines, then two layers."""

    def __init__(self, num_frequencies: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * num_frequencies, width), nn.GELU(), nn.Linear(width, width)
        )
        steps = torch.arange(num_frequencies) / num_frequencies
        frequencies = 1000 * torch.exp(-math.log(10_000) * steps)
        self.frequencies: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, times: Tensor) -> Tensor:
        """Embed."""
        angles = times[:, None] * self.frequencies
        embedded: Tensor = self.layers(torch.cat((angles.sin(), angles.cos()), dim=-1))
        return embedded
