"""A lean forward pass over the weights of transformers' T5 stacks.

The modules, their parameters and their names are transformers' own `T5Stack`, so weights load both
ways; only the arithmetic is written again: fused projections, one shared position bias, plain
softmax attention (for phrases of some 24 tokens it beats the fused kernel on a CPU), and a decoder
step with preallocated key/value caches. `tests/phrase_models/vae/test_t5_stack.py` holds it equal
to transformers' forward pass.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MASKED = -1e4
"""Added to masked attention scores; finite so that bf16 rows without any key stay numbers."""


def position_bias(stack: Any, query_length: int, key_length: int) -> Tensor:
    """Relative position bias of a stack, shared by its layers: (1, heads, queries, keys)."""
    attention = stack.block[0].layer[0].SelfAttention
    bias: Tensor = attention.compute_bias(
        query_length, key_length, device=attention.relative_attention_bias.weight.device
    )
    return bias


def padding_bias(mask: Tensor) -> Tensor:
    """Boolean mask (B, T), True where a token is -> additive bias (B, 1, 1, T)."""
    return (~mask)[:, None, None, :] * MASKED


def causal_bias(length: int, device: torch.device) -> Tensor:
    """Additive bias (1, 1, T, T) that hides later tokens."""
    hidden = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
    return hidden[None, None] * MASKED


def _split_heads(states: Tensor, head_dim: int) -> Tensor:
    return states.view(*states.shape[:-1], -1, head_dim).transpose(-3, -2)


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Unscaled dot-product attention as in T5: (B, H, T, C) -> (B, T, H * C)."""
    scores = query @ key.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    weights = scores.float().softmax(-1).to(value.dtype)
    return (weights @ value).transpose(-3, -2).flatten(-2)


def _norm(layer_norm: Any, hidden: Tensor) -> Tensor:
    return F.rms_norm(
        hidden, layer_norm.weight.shape, layer_norm.weight, layer_norm.variance_epsilon
    )


def _read_by_first(layer: Any, hidden: Tensor, bias: Tensor, num_rows: int) -> Tensor:
    """Self-attention whose outputs are wanted at the first positions only: (B, num_rows, d)."""
    attention = layer.SelfAttention
    normed = _norm(layer.layer_norm, hidden)
    query = _split_heads(attention.q(normed[:, :num_rows]), attention.key_value_proj_dim)
    key, value = cross_keys(attention, normed)
    return attention.o(_attend(query, key, value, bias[:, :, :num_rows]))


def _self_attention(layer: Any, hidden: Tensor, bias: Tensor) -> Tensor:
    attention = layer.SelfAttention
    weight = torch.cat((attention.q.weight, attention.k.weight, attention.v.weight))
    projected = F.linear(_norm(layer.layer_norm, hidden), weight)
    query, key, value = (
        _split_heads(part, attention.key_value_proj_dim) for part in projected.chunk(3, -1)
    )
    return attention.o(_attend(query, key, value, bias))


def _cross_attention(layer: Any, hidden: Tensor, memory: Tensor, bias: Tensor | None) -> Tensor:
    attention = layer.EncDecAttention
    query = _split_heads(attention.q(_norm(layer.layer_norm, hidden)), attention.key_value_proj_dim)
    key, value = cross_keys(attention, memory)
    return attention.o(_attend(query, key, value, bias))


def cross_keys(attention: Any, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of a decoder's memory (B, M, d) -> two of (B, H, M, C)."""
    projected = F.linear(memory, torch.cat((attention.k.weight, attention.v.weight)))
    key, value = projected.chunk(2, -1)
    head_dim = attention.key_value_proj_dim
    return _split_heads(key, head_dim), _split_heads(value, head_dim)


def _feedforward(layer: Any, hidden: Tensor, dropout: float) -> Tensor:
    dense = layer.DenseReluDense
    inner = F.relu(dense.wi(_norm(layer.layer_norm, hidden)))
    return dense.wo(F.dropout(inner, dropout) if dropout else inner)


def run_stack(
    stack: Any,
    hidden: Tensor,
    bias: Tensor,
    *,
    memory: Tensor | None = None,
    memory_bias: Tensor | None = None,
    num_outputs: int | None = None,
) -> Tensor:
    """Run an encoder, or a decoder where `memory` is given, over whole sequences.

    Args:
        stack: a `T5Stack`.
        hidden: embedded tokens (B, T, d).
        bias: position bias plus mask, broadcastable to (B, heads, T, T).
        memory: what the decoder attends to (B, M, d).
        memory_bias: mask of the memory, broadcastable to (B, heads, T, M).
        num_outputs: where only the first positions are wanted of an encoder, how many: its last
            layer computes no others.

    Returns:
        Hidden states (B, T or num_outputs, d), after the final norm.
    """
    dropout = stack.dropout.p if stack.training else 0.0

    def drop(states: Tensor) -> Tensor:
        return F.dropout(states, dropout) if dropout else states

    hidden = drop(hidden)
    for block in stack.block:
        if num_outputs is not None and block is stack.block[-1]:
            read = _read_by_first(block.layer[0], hidden, bias, num_outputs)
            hidden = hidden[:, :num_outputs] + drop(read)
        else:
            hidden = hidden + drop(_self_attention(block.layer[0], hidden, bias))
        if memory is not None:
            attended = _cross_attention(block.layer[1], hidden, memory, memory_bias)
            hidden = hidden + drop(attended)
        hidden = hidden + drop(_feedforward(block.layer[-1], hidden, dropout))
    return drop(_norm(stack.final_layer_norm, hidden))


@dataclass(slots=True)
class DecoderCache:
    """Keys and values of a decoder under way, for a shrinking batch.

    Attributes:
        keys, values: per layer (B, H, max_length, C), filled up to `length`.
        memory_keys, memory_values: per layer (B, H, M, C).
        length: tokens decoded so far.
    """

    keys: list[Tensor]
    values: list[Tensor]
    memory_keys: list[Tensor]
    memory_values: list[Tensor]
    length: int = 0

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these; `rows` holds indices into the batch."""
        for tensors in (self.keys, self.values, self.memory_keys, self.memory_values):
            tensors[:] = [tensor[rows] for tensor in tensors]


def new_cache(stack: Any, memory: Tensor, max_length: int) -> DecoderCache:
    """An empty cache for a memory of shape (B, M, d)."""
    pairs = [cross_keys(block.layer[1].EncDecAttention, memory) for block in stack.block]
    batch, heads, _, head_dim = pairs[0][0].shape
    shape = (batch, heads, max_length, head_dim)
    return DecoderCache(
        keys=[pairs[0][0].new_empty(shape) for _ in pairs],
        values=[pairs[0][0].new_empty(shape) for _ in pairs],
        memory_keys=[key.contiguous() for key, _ in pairs],
        memory_values=[value.contiguous() for _, value in pairs],
    )


def decode_step(stack: Any, hidden: Tensor, bias: Tensor, cache: DecoderCache) -> Tensor:
    """One more token for every row.

    Args:
        stack: a decoder `T5Stack`.
        hidden: embedding of the newest token (B, 1, d).
        bias: position bias of all positions (1, heads, max_length, max_length).
        cache: grows by one position.

    Returns:
        Hidden states (B, 1, d), after the final norm.
    """
    position = cache.length
    for index, block in enumerate(stack.block):
        attention = block.layer[0].SelfAttention
        normed = _norm(block.layer[0].layer_norm, hidden)
        weight = torch.cat((attention.q.weight, attention.k.weight, attention.v.weight))
        query, key, value = (
            _split_heads(part, attention.key_value_proj_dim)
            for part in F.linear(normed, weight).chunk(3, -1)
        )
        cache.keys[index][:, :, position] = key[:, :, 0]
        cache.values[index][:, :, position] = value[:, :, 0]
        attended = _attend(
            query,
            cache.keys[index][:, :, : position + 1],
            cache.values[index][:, :, : position + 1],
            bias[:, :, position : position + 1, : position + 1],
        )
        hidden = hidden + attention.o(attended)
        cross = block.layer[1].EncDecAttention
        query = _split_heads(
            cross.q(_norm(block.layer[1].layer_norm, hidden)), cross.key_value_proj_dim
        )
        attended = _attend(query, cache.memory_keys[index], cache.memory_values[index], None)
        hidden = hidden + cross.o(attended)
        hidden = hidden + _feedforward(block.layer[2], hidden, 0.0)
    cache.length += 1
    return _norm(stack.final_layer_norm, hidden)
