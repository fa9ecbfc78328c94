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


def _norm(layer_norm: Any, hidden: Tensor) -> Tensor:
    return rms_norm(hidden, layer_norm.weight, layer_norm.variance_epsilon)


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


@dataclass(frozen=True, slots=True)
class _StepWeights:
    """Products of one decoder layer as a step makes them, stacked and converted once a decoding."""

    layer: Any
    self_projections: Tensor
    self_output: Tensor
    cross_query: Tensor
    cross_output: Tensor
    widen: Tensor
    narrow: Tensor

    @classmethod
    def of(cls, block: Any, dtype: torch.dtype) -> "_StepWeights":
        own, cross = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
        dense = block.layer[2].DenseReluDense
        products = (
            torch.cat((own.q.weight, own.k.weight, own.v.weight)),
            own.o.weight,
            cross.q.weight,
            cross.o.weight,
            dense.wi.weight,
            dense.wo.weight,
        )
        return cls(block.layer, *(weight.detach().to(dtype) for weight in products))


FIRST_CAPACITY = 32
"""Places a cache begins with; doubled when full, for most phrases end before."""


@dataclass(slots=True)
class DecoderCache:
    """A decoder under way with a shrinking batch.

    Attributes:
        weights: what the steps multiply by, per layer.
        keys, values: per layer (B, H, capacity, C), filled up to `length`.
        memory_keys, memory_values: per layer (B, H, M, C).
        max_length: most places there will be.
        length: tokens decoded so far.
    """

    weights: list[_StepWeights]
    keys: list[Tensor]
    values: list[Tensor]
    memory_keys: list[Tensor]
    memory_values: list[Tensor]
    max_length: int
    length: int = 0

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these; `rows` holds indices into the batch."""
        for tensors in (self.keys, self.values, self.memory_keys, self.memory_values):
            tensors[:] = [tensor[rows] for tensor in tensors]

    def make_room(self) -> None:
        """See to it that one more token has a place."""
        capacity = self.keys[0].shape[2]
        if self.length < capacity:
            return
        more = min(2 * capacity, self.max_length) - capacity
        for tensors in (self.keys, self.values):
            tensors[:] = [F.pad(tensor, (0, 0, 0, more)) for tensor in tensors]


def new_cache(
    stack: Any, memory: Tensor, max_length: int, dtype: torch.dtype = torch.float32
) -> DecoderCache:
    """An empty cache for a memory of shape (B, M, d).

    Args:
        stack: a decoder `T5Stack`.
        memory: what it attends to.
        max_length: most tokens there will be.
        dtype: of the steps' matrix products; all else, the cache too, has that of the memory.
    """
    pairs = [cross_keys(block.layer[1].EncDecAttention, memory) for block in stack.block]
    batch, heads, _, head_dim = pairs[0][0].shape
    shape = (batch, heads, min(FIRST_CAPACITY, max_length), head_dim)
    return DecoderCache(
        weights=[_StepWeights.of(block, dtype) for block in stack.block],
        keys=[pairs[0][0].new_empty(shape) for _ in pairs],
        values=[pairs[0][0].new_empty(shape) for _ in pairs],
        memory_keys=[key.contiguous() for key, _ in pairs],
        memory_values=[value.contiguous() for _, value in pairs],
        max_length=max_length,
    )


def _product(states: Tensor, weight: Tensor) -> Tensor:
    """Linear layer in the precision of its weight; what it is added to keeps its own."""
    return F.linear(states.to(weight.dtype), weight)


def _attend_once(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Attention of one query a row: (B, H, 1, C) over (B, H, T, C) -> (B, H * C).

    Elementwise, for a batch of products with a single row each leaves a CPU's kernels no reuse.
    """
    scores = (query * key).sum(-1, keepdim=True)
    if bias is not None:
        scores = scores + bias
    return (scores.softmax(-2) * value).sum(-2).flatten(1)


def decode_step(stack: Any, hidden: Tensor, bias: Tensor, cache: DecoderCache) -> Tensor:
    """One more token for every row.

    Of few operations, for threads that decode beside each other take turns with each.

    Args:
        stack: a decoder `T5Stack`.
        hidden: embedding of the newest token (B, 1, d).
        bias: position bias of all positions (1, heads, max_length, max_length).
        cache: grows by one position.

    Returns:
        Hidden states (B, 1, d), after the final norm.
    """
    cache.make_room()
    position, end = cache.length, cache.length + 1
    head_dim = cache.keys[0].shape[-1]
    row = bias[0, :, position, :end, None]
    hidden = hidden[:, 0]
    for index, weights in enumerate(cache.weights):
        own, cross, dense = weights.layer
        keys, values = cache.keys[index], cache.values[index]
        projected = _product(_norm(own.layer_norm, hidden), weights.self_projections)
        query, key, value = projected.view(len(hidden), 3, -1, 1, head_dim).unbind(1)
        keys[:, :, position:end], values[:, :, position:end] = key, value
        attended = _attend_once(query, keys[:, :, :end], values[:, :, :end], row)
        hidden = hidden + _product(attended, weights.self_output)
        query = _product(_norm(cross.layer_norm, hidden), weights.cross_query)
        query = query.view(len(hidden), -1, 1, head_dim)
        memory = (cache.memory_keys[index], cache.memory_values[index])
        hidden = hidden + _product(_attend_once(query, *memory, None), weights.cross_output)
        inner = _product(_norm(dense.layer_norm, hidden), weights.widen).relu()
        hidden = hidden + _product(inner, weights.narrow)
    cache.length = end
    return _norm(stack.final_layer_norm, hidden)[:, None]
