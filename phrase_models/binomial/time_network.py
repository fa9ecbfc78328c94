"""The network over time: planes and pitches are channels, so a step of a song is one vector.

Three scales: convolutions at sixteenths and at beats, attention over bars, and back up with what
was seen on the way. Every block hears the timestep by scale and shift. What it says of each cell is
corrected by a few narrow convolutions over steps and pitches: what holds of every pitch, such as
that a held step follows an onset, would else be learnt for each of them anew.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phrase_models.binomial.config import STEPS_PER_ROLL_BAR, RollConfig, TimeNetworkConfig
from phrase_models.binomial.network import (
    NUM_PLACES,
    RollCondition,
    TimeEmbedding,
    as_numbers,
    input_planes,
)

STEPS_PER_BEAT_OF_ROLL = 4
BEATS_PER_BAR_OF_ROLL = STEPS_PER_ROLL_BAR // STEPS_PER_BEAT_OF_ROLL
TIME_DIM, TIME_FREQUENCIES = 128, 64
PLACE_DEVIATION = 0.1
ROTARY_BASE = 1000.0
DILATIONS = (1, 3)
"""Of the two convolutions of a block."""


class TimeConvolution(nn.Module):
    """Convolution of width 3 over (B, L, d), as one matrix product: quicker than conv1d here."""

    def __init__(self, dim_in: int, dim_out: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.linear = nn.Linear(3 * dim_in, dim_out)

    def forward(self, hidden: Tensor) -> Tensor:
        """Convolve; beyond both ends there are zeros."""
        far = self.dilation
        padded = F.pad(hidden, (0, 0, far, far))
        length = hidden.shape[1]
        parts = [padded[:, shift : shift + length] for shift in (0, far, 2 * far)]
        convolved: Tensor = self.linear(torch.cat(parts, dim=-1))
        return convolved


class TimedNorm(nn.Module):
    """Layer norm over channels, scaled and shifted by the timestep."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.scale_shift = nn.Linear(TIME_DIM, 2 * dim)
        nn.init.zeros_(self.scale_shift.weight)
        nn.init.zeros_(self.scale_shift.bias)

    def forward(self, hidden: Tensor, time: Tensor) -> Tensor:
        """Of (B, L, d) and (B, TIME_DIM)."""
        scale, shift = self.scale_shift(time)[:, None].chunk(2, dim=-1)
        normed: Tensor = torch.addcmul(shift, self.norm(hidden).to(shift.dtype), 1 + scale)
        return normed


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = TimedNorm(dim)
        self.first = TimeConvolution(dim, dim, DILATIONS[0])
        self.second = TimeConvolution(dim, dim, DILATIONS[1])
        _start_as_identity(self.second.linear)

    def forward(self, hidden: Tensor, time: Tensor) -> Tensor:
        """Of (B, L, d) and (B, TIME_DIM)."""
        inner = self.first(F.silu(self.norm(hidden, time)))
        changed: Tensor = hidden + self.second(F.silu(inner))
        return changed


class BarLayer(nn.Module):
    """Attention between the bars of a segment, then a feed-forward part."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm, self.forward_norm = TimedNorm(dim), TimedNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)
        self.expand, self.contract = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        _start_as_identity(self.out)
        _start_as_identity(self.contract)

    def forward(self, bars: Tensor, time: Tensor) -> Tensor:
        """Of (B, N, d) and (B, TIME_DIM)."""
        joint: Tensor = self.qkv(self.attention_norm(bars, time))
        heads = (
            part.reshape(*part.shape[:2], self.num_heads, -1).transpose(1, 2)
            for part in joint.chunk(3, dim=-1)
        )
        query, key, value = heads
        # Written out it is quicker on a CPU than the fused kernel, at so few bars.
        scores = (_rotate(query) * query.shape[-1] ** -0.5) @ _rotate(key).mT
        attended = scores.softmax(dim=-1).to(value.dtype) @ value
        bars = bars + self.out(attended.transpose(1, 2).flatten(2))
        inner = F.gelu(self.expand(self.forward_norm(bars, time)))
        changed: Tensor = bars + self.contract(inner)
        return changed


def _rotate(states: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864) of states (B, H, N, c)."""
    pairs = states.shape[-1] // 2
    bars = torch.arange(states.shape[-2], device=states.device, dtype=torch.float32)
    powers = torch.arange(pairs, device=states.device, dtype=torch.float32) / pairs
    angles = bars[:, None] * ROTARY_BASE**-powers
    cosine, sine = angles.cos().to(states.dtype), angles.sin().to(states.dtype)
    first, second = states.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def _start_as_identity(layer: nn.Linear | nn.Conv2d) -> None:
    """Let a residual branch begin with nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Blocks(nn.ModuleList):
    """Blocks one after the other."""

    def forward(self, hidden: Tensor, time: Tensor) -> Tensor:
        """Of (B, L, d) and (B, TIME_DIM)."""
        for block in self:
            hidden = block(hidden, time)
        return hidden


class LocalCorrection(nn.Module):
    """Convolutions over steps and pitches: what is near a cell, and what is said of it -> more."""

    def __init__(self, num_inputs: int, num_outputs: int, dim: int) -> None:
        super().__init__()
        self.scale_shift = nn.Linear(TIME_DIM, 2 * dim)
        self.first = nn.Conv2d(num_inputs, dim, (5, 3), padding="same")
        self.second = nn.Conv2d(dim, dim, (5, 1), padding="same", dilation=(3, 1))
        self.write = nn.Conv2d(dim, num_outputs, 1)
        _start_as_identity(self.write)

    def forward(self, planes: Tensor, time: Tensor) -> Tensor:
        """Of (B, inputs, S, P) and (B, TIME_DIM) -> (B, outputs, S, P)."""
        scale, shift = self.scale_shift(time)[:, :, None, None].chunk(2, dim=1)
        near = planes.contiguous(memory_format=torch.channels_last)
        near = F.silu(torch.addcmul(shift, self.first(near), 1 + scale))
        corrected: Tensor = self.write(F.silu(self.second(near)))
        return corrected


class TimeNetwork(nn.Module):
    """Implements `RollNetwork`."""

    def __init__(self, roll: RollConfig, config: TimeNetworkConfig, *, knows_cells: bool) -> None:
        super().__init__()
        self.knows_cells, self.num_planes = knows_cells, roll.num_planes
        channels = roll.num_planes * roll.num_pitches
        step, beat, bar = config.step_dim, config.beat_dim, config.bar_dim
        self.time = TimeEmbedding(TIME_FREQUENCIES, TIME_DIM)
        self.read = nn.Linear(channels * (3 if knows_cells else 1), step)
        self.steps_down = Blocks(ResidualBlock(step) for _ in range(config.num_blocks))
        self.to_beats = nn.Linear(STEPS_PER_BEAT_OF_ROLL * step, beat)
        self.beats_down = Blocks(ResidualBlock(beat) for _ in range(config.num_blocks))
        self.to_bars = nn.Linear(BEATS_PER_BAR_OF_ROLL * beat, bar)
        self.places = nn.ModuleList(_place_table(bar) for _ in range(2))
        self.bars = Blocks(BarLayer(bar, config.num_heads) for _ in range(config.num_bar_layers))
        self.from_bars = nn.Linear(bar, BEATS_PER_BAR_OF_ROLL * beat)
        self.beats_up = Blocks(ResidualBlock(beat) for _ in range(config.num_blocks))
        self.from_beats = nn.Linear(beat, STEPS_PER_BEAT_OF_ROLL * step)
        self.steps_up = Blocks(ResidualBlock(step) for _ in range(config.num_blocks))
        self.write_norm = TimedNorm(step)
        self.write = nn.Linear(step, channels)
        _start_as_identity(self.write)
        self.local: LocalCorrection | None = None
        if config.local_dim:
            num_inputs = roll.num_planes * (4 if knows_cells else 2)
            self.local = LocalCorrection(num_inputs, roll.num_planes, config.local_dim)

    def forward(self, noisy: Tensor, times: Tensor, condition: RollCondition) -> Tensor:
        """See `RollNetwork`; any number of bars."""
        time = F.silu(self.time(times))
        planes = input_planes(noisy, condition, with_known=self.knows_cells)
        steps = self.read(as_numbers(planes.transpose(1, 2).flatten(2)))
        steps = self.steps_down(steps, time)
        beats = self.to_beats(_joined(steps, STEPS_PER_BEAT_OF_ROLL))
        beats = self.beats_down(beats, time)
        bars = self.to_bars(_joined(beats, BEATS_PER_BAR_OF_ROLL))
        for axis, table in enumerate(self.places):
            bars = bars + table(condition.places[..., axis])
        bars = self.bars(bars, time)
        beats = self.beats_up(beats + _parted(self.from_bars(bars), BEATS_PER_BAR_OF_ROLL), time)
        wider = _parted(self.from_beats(beats), STEPS_PER_BEAT_OF_ROLL)
        steps = self.steps_up(steps + wider, time)
        written: Tensor = self.write(self.write_norm(steps, time))
        cells = written.reshape(*written.shape[:2], self.num_planes, -1).transpose(1, 2)
        if self.local is None:
            return cells
        return cells + self.local(torch.cat((as_numbers(planes), cells), dim=1), time)


def _place_table(dim: int) -> nn.Embedding:
    table = nn.Embedding(NUM_PLACES, dim)
    nn.init.normal_(table.weight, std=PLACE_DEVIATION)
    return table


def _joined(hidden: Tensor, count: int) -> Tensor:
    """(B, L, d) -> (B, L / count, count d)."""
    return hidden.reshape(len(hidden), -1, count * hidden.shape[-1])


def _parted(hidden: Tensor, count: int) -> Tensor:
    """(B, L, count d) -> (B, count L, d)."""
    return hidden.reshape(len(hidden), -1, hidden.shape[-1] // count)
