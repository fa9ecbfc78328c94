"""Attention of the denoiser: rotary positions over bars and slots, masks, the repeat pointer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.diffusion.relations import relation_starts

ROTARY_BASE = 10_000.0
SLOT_ROTARY_BASE = 100.0
REPEAT_BIAS_RANGE = 4.0
"""The heads start with repeat biases spread from this to 0: e^4 against some 80 other bars."""
HIDING_BIAS = -10_000.0
"""Its exponential is exactly 0 in every precision."""
MAX_PLAIN_TOKENS = 256
"""Up to here softmax(QK')V written out trains quicker than PyTorch's fused kernel: measured on two
cores with bf16 at 80 to 128 tokens, forward and backward, 9-13 ms against 30-41 ms."""


def rotary_table(
    config: DenoiserConfig, num_bars: int, num_slots: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles of all tokens, each float32 (T, head_dim / 2).

    Args:
        config: tokens are bars (T = N) or slots in bar order (T = N S); with "bar_slot" axes three
            quarters of the angles turn with the bar and one quarter with the slot.
        num_bars: N.
        num_slots: S.
        device: where to.
    """
    pairs = config.model_dim // config.num_heads // 2
    bars = torch.arange(num_bars, device=device, dtype=torch.float32)
    if config.patch_bars:
        angles = bars[:, None] * _frequencies(pairs, ROTARY_BASE, device)
    elif config.rotary_axes == "token":
        tokens = torch.arange(num_bars * num_slots, device=device, dtype=torch.float32)
        angles = tokens[:, None] * _frequencies(pairs, ROTARY_BASE, device)
    else:
        slots = torch.arange(num_slots, device=device, dtype=torch.float32).repeat(num_bars)
        bars = bars.repeat_interleave(num_slots)
        by_bar = bars[:, None] * _frequencies(pairs - pairs // 4, ROTARY_BASE, device)
        by_slot = slots[:, None] * _frequencies(pairs // 4, SLOT_ROTARY_BASE, device)
        angles = torch.cat((by_bar, by_slot), dim=-1)
    return angles.cos(), angles.sin()


def _frequencies(count: int, base: float, device: torch.device) -> Tensor:
    return base ** (-torch.arange(count, device=device, dtype=torch.float32) / max(1, count))


def rotate(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs (c, c + head_dim / 2) of states (..., T, head_dim)."""
    first, second = states.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class SelfAttention(nn.Module):
    """Attention between the tokens of a song, normed queries and keys, rotary positions."""

    def __init__(self, config: DenoiserConfig, num_slots: int) -> None:
        super().__init__()
        dim, heads = config.model_dim, config.num_heads
        self.num_heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.query_norm = nn.LayerNorm(dim // heads, bias=False)
        self.key_norm = nn.LayerNorm(dim // heads, bias=False)
        self.out = nn.Linear(dim, dim)
        self.repeat_bias: nn.Parameter | None = None
        if config.repeat_bias:
            self.repeat_bias = nn.Parameter(
                torch.linspace(REPEAT_BIAS_RANGE, 0.0, heads).repeat(2, 1)
            )
        self.relation_bias: nn.Parameter | None = None
        starts = relation_starts(config, num_slots)
        if len(starts):
            self.relation_bias = nn.Parameter(starts)

    def forward(
        self,
        hidden: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        relations: Tensor | None,
    ) -> Tensor:
        """Attend.

        Args:
            hidden: (B, T, d).
            rotary: from `rotary_table`.
            mask: tokens that may be attended to (B, 1, 1, T) bool, or None for all.
            relations: from `bar_relations`, where there are biases.

        Returns:
            (B, T, d).
        """
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.qkv(hidden).chunk(3, dim=-1)
        )
        cosine, sine = (part.to(query.dtype) for part in rotary)
        query = rotate(self.query_norm(query).to(value.dtype), cosine, sine)
        key = rotate(self.key_norm(key).to(value.dtype), cosine, sine)
        if relations is None:
            attended = attend(query, key, value, mask)
        else:
            # One product instead of sums over (B, H, T, T), which cost as much as attention.
            weights = self._relation_weights(query).mT
            bias = (weights @ relations.flatten(2)).view(-1, self.num_heads, *relations.shape[2:])
            attended = attend_with_bias(query, key, value, bias)
        return self.out(attended.transpose(1, 2).flatten(2))

    def _relation_weights(self, query: Tensor) -> Tensor:
        """The bias of each relation (R, H), in the order of `bar_relations`."""
        hiding = query.new_full((1, self.num_heads), HIDING_BIAS, dtype=torch.float32)
        biases = (self.repeat_bias, hiding, self.relation_bias)
        return torch.cat([bias for bias in biases if bias is not None])


class CrossAttention(nn.Module):
    """Attention of tokens to the encoded section list (paper section 3.3.3)."""

    def __init__(self, config: DenoiserConfig, memory_dim: int) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.query = nn.Linear(config.model_dim, config.model_dim, bias=False)
        self.key_value = nn.Linear(memory_dim, 2 * config.model_dim, bias=False)
        self.out = nn.Linear(config.model_dim, config.model_dim)

    def forward(self, hidden: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Hidden (B, T, d), memory (B, M, c) with its bool mask (B, M) -> (B, T, d)."""
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (self.query(hidden), *self.key_value(memory).chunk(2, dim=-1))
        )
        attended = attend(query, key, value, mask[:, None, None])
        return self.out(attended.transpose(1, 2).flatten(2))


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled attention (B, H, T, C); `mask` is bool, True where attention is allowed."""
    if key.shape[-2] > MAX_PLAIN_TOKENS:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return attend_with_bias(query, key, value, additive_mask(mask, query))


def attend_with_bias(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Scaled attention written out, with a bias added to the logits."""
    scores = (query * query.shape[-1] ** -0.5) @ key.mT
    return (scores + bias.to(scores.dtype)).softmax(dim=-1).to(value.dtype) @ value


def additive_mask(mask: Tensor | None, like: Tensor) -> Tensor:
    """0 where a bool mask allows attention, minus infinity elsewhere."""
    if mask is None:
        return like.new_zeros(())
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(~mask, -torch.inf)
