"""The two-dimensional U-Net of the reference, over steps and pitches of a roll.

Layers and sizes are those of the diffusion U-Net that the reference copies (P. Wang,
denoising-diffusion-pytorch): two residual blocks and linear attention a level, full attention in
the middle, every level's outputs joined on the way up.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phrase_models.binomial.config import RollConfig, UNetConfig
from phrase_models.binomial.network import RollCondition, TimeEmbedding, as_numbers, input_planes

NUM_GROUPS = 4
NUM_HEADS, HEAD_DIM = 4, 32
WEIGHT_EPSILON = 1e-5


class StandardisedConvolution(nn.Conv2d):
    """3 x 3 convolution with weights of mean 0 and variance 1 (arXiv 1903.10520)."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve."""
        weight = self.weight.float()
        mean = weight.mean(dim=(1, 2, 3), keepdim=True)
        variance = weight.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
        standard = (weight - mean) * (variance + WEIGHT_EPSILON).rsqrt()
        return F.conv2d(images, standard.to(self.weight.dtype), self.bias, padding=1)


class ChannelNorm(nn.Module):
    """Layer norm over channels, with a gain."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(dim))

    def forward(self, images: Tensor) -> Tensor:
        """Of (B, C, H, W)."""
        variance, mean = torch.var_mean(images, dim=1, unbiased=False, keepdim=True)
        normed = (images - mean) * (variance + WEIGHT_EPSILON).rsqrt()
        return normed * self.gain[:, None, None]


class ResidualBlock(nn.Module):
    """Two convolutions; the timestep scales and shifts after the first."""

    def __init__(self, dim_in: int, dim_out: int, time_dim: int) -> None:
        super().__init__()
        self.from_time = nn.Linear(time_dim, 2 * dim_out)
        self.first = StandardisedConvolution(dim_in, dim_out, 3, padding=1)
        self.second = StandardisedConvolution(dim_out, dim_out, 3, padding=1)
        self.first_norm = nn.GroupNorm(NUM_GROUPS, dim_out)
        self.second_norm = nn.GroupNorm(NUM_GROUPS, dim_out)
        self.skip = nn.Conv2d(dim_in, dim_out, 1) if dim_in != dim_out else nn.Identity()

    def forward(self, images: Tensor, time: Tensor) -> Tensor:
        """Of (B, C, H, W) and (B, time_dim)."""
        scale, shift = self.from_time(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        inner = self.first_norm(self.first(images)) * (scale + 1) + shift
        inner = F.silu(self.second_norm(self.second(F.silu(inner))))
        changed: Tensor = inner + self.skip(images)
        return changed


class LinearAttention(nn.Module):
    """Attention at a cost that grows with the places alone (arXiv 1812.01243)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(dim)
        self.qkv = nn.Conv2d(dim, 3 * NUM_HEADS * HEAD_DIM, 1, bias=False)
        self.out = nn.Sequential(nn.Conv2d(NUM_HEADS * HEAD_DIM, dim, 1), ChannelNorm(dim))

    def forward(self, images: Tensor) -> Tensor:
        """Attend beside an identity."""
        query, key, value = _heads(self.qkv(self.norm(images)))
        query, key = query.softmax(dim=-2) * HEAD_DIM**-0.5, key.softmax(dim=-1)
        context = key @ (value / value.shape[-1]).mT
        attended: Tensor = images + self.out(_places(context.mT @ query, images))
        return attended


class Attention(nn.Module):
    """Full attention between all places."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(dim)
        self.qkv = nn.Conv2d(dim, 3 * NUM_HEADS * HEAD_DIM, 1, bias=False)
        self.out = nn.Conv2d(NUM_HEADS * HEAD_DIM, dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Attend beside an identity."""
        query, key, value = (part.mT for part in _heads(self.qkv(self.norm(images))))
        attended = F.scaled_dot_product_attention(query, key, value)
        result: Tensor = images + self.out(_places(attended.mT, images))
        return result


def _heads(qkv: Tensor) -> tuple[Tensor, ...]:
    """(B, 3 heads c, H, W) -> three of (B, heads, c, H W)."""
    return tuple(part.reshape(len(part), NUM_HEADS, HEAD_DIM, -1) for part in qkv.chunk(3, dim=1))


def _places(heads: Tensor, images: Tensor) -> Tensor:
    """(B, heads, c, H W) -> (B, heads c, H, W), as the images are."""
    return heads.reshape(len(heads), -1, *images.shape[2:])


class Level(nn.Module):
    """Two residual blocks, linear attention, and a change of scale."""

    def __init__(self, dim_in: int, dim_out: int, time_dim: int, change: nn.Module) -> None:
        super().__init__()
        self.first = ResidualBlock(dim_in, dim_out, time_dim)
        self.second = ResidualBlock(dim_in, dim_out, time_dim)
        self.attention = LinearAttention(dim_out)
        self.change = change

    def down(self, images: Tensor, time: Tensor, seen: list[Tensor]) -> Tensor:
        """To the next coarser level; what is seen on the way is added to `seen`."""
        seen.append(self.first(images, time))
        seen.append(self.attention(self.second(seen[-1], time)))
        changed: Tensor = self.change(seen[-1])
        return changed

    def up(self, images: Tensor, time: Tensor, seen: list[Tensor]) -> Tensor:
        """To the next finer level, joined with what was seen last."""
        images = self.first(torch.cat((images, seen.pop()), dim=1), time)
        images = self.second(torch.cat((images, seen.pop()), dim=1), time)
        changed: Tensor = self.change(self.attention(images))
        return changed


class UNet(nn.Module):
    """Implements `RollNetwork`; places in the song are left to itself."""

    def __init__(self, roll: RollConfig, config: UNetConfig, *, knows_cells: bool) -> None:
        super().__init__()
        self.knows_cells = knows_cells
        dim, time_dim = config.dim, 4 * config.dim
        dims = (dim, *(dim * factor for factor in config.multipliers))
        levels = list(pairwise(dims))
        self.time = TimeEmbedding(dim // 2, time_dim)
        self.read = nn.Conv2d(roll.num_planes * (3 if knows_cells else 1), dim, 7, padding=3)
        self.down: nn.ModuleList = nn.ModuleList()
        self.up: nn.ModuleList = nn.ModuleList()
        for index, (inner, outer) in enumerate(levels):
            last = index == len(levels) - 1
            self.down.append(Level(inner, inner, time_dim, _halving(inner, outer, last=last)))
        self.middle_in = ResidualBlock(dims[-1], dims[-1], time_dim)
        self.middle_attention = Attention(dims[-1])
        self.middle_out = ResidualBlock(dims[-1], dims[-1], time_dim)
        for index, (inner, outer) in reversed(list(enumerate(levels))):
            change = _doubling(outer, inner, first=index == 0)
            self.up.append(Level(outer + inner, outer, time_dim, change))
        self.last = ResidualBlock(2 * dim, dim, time_dim)
        self.write = nn.Conv2d(dim, roll.num_planes, 1)

    def forward(self, noisy: Tensor, times: Tensor, condition: RollCondition) -> Tensor:
        """See `RollNetwork`; steps and pitches are multiples of 2^(levels - 1)."""
        time = self.time(times)
        planes = input_planes(noisy, condition, with_known=self.knows_cells)
        images = self.read(as_numbers(planes))
        beginning = images
        seen: list[Tensor] = []
        for level in self.down:
            assert isinstance(level, Level)
            images = level.down(images, time, seen)
        images = self.middle_attention(self.middle_in(images, time))
        images = self.middle_out(images, time)
        for level in self.up:
            assert isinstance(level, Level)
            images = level.up(images, time, seen)
        cells: Tensor = self.write(self.last(torch.cat((images, beginning), dim=1), time))
        return cells


def _halving(dim_in: int, dim_out: int, *, last: bool) -> nn.Module:
    if last:
        return nn.Conv2d(dim_in, dim_out, 3, padding=1)
    return nn.Conv2d(dim_in, dim_out, 4, stride=2, padding=1)


def _doubling(dim_in: int, dim_out: int, *, first: bool) -> nn.Module:
    convolution = nn.Conv2d(dim_in, dim_out, 3, padding=1)
    return convolution if first else nn.Sequential(nn.Upsample(scale_factor=2), convolution)
