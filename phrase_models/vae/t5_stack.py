"""A lean forward pass over the weights of transformers' T5 stacks.

The modules, their parameters and their names are transformers' own `T5Stack`, so weights load both
ways; only the arithmetic is written again: fused projections, one shared position bias, plain
softmax attention (for phrases of some 24 tokens it beats the fused kernel on a CPU).
`tests/phrase_models/vae/test_t5_stack.py` holds it equal to transformers' forward pass.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from phrase_models.vae.rms_norm import rms_norm

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


def normalise(layer_norm: Any, hidden: Tensor) -> Tensor:
    """Apply a `T5LayerNorm` to (..., d)."""
    return rms_norm(hidden, layer_norm.weight, layer_norm.variance_epsilon)


def _read_by_first(layer: Any, hidden: Tensor, bias: Tensor, num_rows: int) -> Tensor:
    """Self-attention whose outputs are wanted at the first positions only: (B, num_rows, d)."""
    attention = layer.SelfAttention
    normed = normalise(layer.layer_norm, hidden)
    query = _split_heads(attention.q(normed[:, :num_rows]), attention.key_value_proj_dim)
    key, value = cross_keys(attention, normed)
    return attention.o(_attend(query, key, value, bias[:, :, :num_rows]))


def _self_attention(layer: Any, hidden: Tensor, bias: Tensor) -> Tensor:
    attention = layer.SelfAttention
    weight = torch.cat((attention.q.weight, attention.k.weight, attention.v.weight))
    projected = F.linear(normalise(layer.layer_norm, hidden), weight)
    query, key, value = (
        _split_heads(part, attention.key_value_proj_dim) for part in projected.chunk(3, -1)
    )
    return attention.o(_attend(query, key, value, bias))


def _cross_attention(layer: Any, hidden: Tensor, memory: Tensor, bias: Tensor | None) -> Tensor:
    attention = layer.EncDecAttention
    normed = normalise(layer.layer_norm, hidden)
    query = _split_heads(attention.q(normed), attention.key_value_proj_dim)
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
    inner = F.relu(dense.wi(normalise(layer.layer_norm, hidden)))
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
    return drop(normalise(stack.final_layer_norm, hidden))
