"""One more token for many rows at once, with preallocated key/value caches.

The same arithmetic as `t5_stack.run_stack` for a decoder; the tests of it hold the two equal.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from phrase_models.vae.t5_stack import cross_keys, normalise

_ONEDNN = torch.ops.mkldnn


class FixedProduct:
    """A linear layer without bias whose weight does not change any more.

    On a CPU oneDNN multiplies by a weight in a layout of its own, and converting it takes up to a
    third of a product with few rows: here that is done once. The operator for it is the one that
    torch's compiler emits; it has no public name yet.
    """

    ROWS = 64
    """Rows that the layout is chosen for; any number may be multiplied."""

    def __init__(self, weight: Tensor, dtype: torch.dtype, *, relu: bool = False) -> None:
        self.weight, self.relu = weight.detach().to(dtype).contiguous(), relu
        self.packed = weight.device.type == "cpu" and _can_pack(dtype)
        if self.packed:
            self.weight = _ONEDNN._reorder_linear_weight(self.weight, self.ROWS)  # noqa: SLF001

    def __call__(self, states: Tensor) -> Tensor:
        """(B, inputs) of any precision -> (B, outputs) in that of the weight."""
        states = states.to(self.weight.dtype)
        if self.packed:
            after = "relu" if self.relu else "none"
            linear = _ONEDNN._linear_pointwise  # noqa: SLF001
            packed_product: Tensor = linear(states, self.weight, None, after, [], "")
            return packed_product
        product = F.linear(states, self.weight)
        return product.relu() if self.relu else product


def _can_pack(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there and computes in this precision on this processor."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or bool(_ONEDNN._is_mkldnn_bf16_supported())  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class LayerProducts:
    """The matrix products of one decoder layer as a step makes them."""

    layer: Any
    self_projections: FixedProduct
    self_output: FixedProduct
    cross_query: FixedProduct
    cross_output: FixedProduct
    widen: FixedProduct
    narrow: FixedProduct

    @classmethod
    def of(cls, block: Any, dtype: torch.dtype) -> "LayerProducts":
        """From a block of a decoder `T5Stack`."""
        own, cross = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
        dense = block.layer[2].DenseReluDense
        return cls(
            block.layer,
            FixedProduct(torch.cat((own.q.weight, own.k.weight, own.v.weight)), dtype),
            FixedProduct(own.o.weight, dtype),
            FixedProduct(cross.q.weight, dtype),
            FixedProduct(cross.o.weight, dtype),
            FixedProduct(dense.wi.weight, dtype, relu=True),
            FixedProduct(dense.wo.weight, dtype),
        )


@dataclass(frozen=True, slots=True)
class StepProducts:
    """What the steps of a decoder multiply by; batches may share it."""

    layers: list[LayerProducts]
    to_logits: FixedProduct

    @classmethod
    def of(
        cls, stack: Any, output_weight: Tensor, dtype: torch.dtype = torch.float32
    ) -> "StepProducts":
        """From weights that must not change while this is used.

        Args:
            stack: a decoder `T5Stack`.
            output_weight: of the logits (V, d); they are always fp32.
            dtype: of the products within the layers; all else has that of the decoder's memory.
        """
        layers = [LayerProducts.of(block, dtype) for block in stack.block]
        return cls(layers, FixedProduct(output_weight, torch.float32))


FIRST_CAPACITY = 32
"""Places a cache begins with; doubled when full, for most phrases end before."""


@dataclass(slots=True)
class DecoderCache:
    """A decoder under way with a shrinking batch.

    Attributes:
        products: what the steps multiply by.
        past: keys and values of all layers (L, 2, B, H, capacity, C), filled up to `length`.
        memory: those of the decoder's memory (L, 2, B, H, M, C).
        max_length: most places there will be.
        length: tokens decoded so far.
    """

    products: StepProducts
    past: Tensor
    memory: Tensor
    max_length: int
    length: int = 0

    @classmethod
    def empty(
        cls, stack: Any, products: StepProducts, memory: Tensor, max_length: int
    ) -> "DecoderCache":
        """For a memory of shape (B, M, d) and at most `max_length` tokens."""
        pairs = [cross_keys(block.layer[1].EncDecAttention, memory) for block in stack.block]
        of_memory = torch.stack([torch.stack(pair) for pair in pairs])
        layers, two, batch, heads, _, head_dim = of_memory.shape
        capacity = min(FIRST_CAPACITY, max_length)
        past = of_memory.new_empty((layers, two, batch, heads, capacity, head_dim))
        return cls(products, past, of_memory, max_length)

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these; `rows` holds indices into the batch."""
        self.past = self.past.index_select(2, rows)
        self.memory = self.memory.index_select(2, rows)

    def make_room(self) -> None:
        """See to it that one more token has a place."""
        capacity = self.past.shape[4]
        if self.length == capacity:
            more = min(2 * capacity, self.max_length) - capacity
            self.past = F.pad(self.past, (0, 0, 0, more))


def _attend_once(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Attention of one query a row: (B, H, 1, C) over (B, H, T, C) -> (B, H * C).

    Elementwise, for a batch of products with a single row each leaves a CPU's kernels no reuse.
    """
    scores = (query * key).sum(-1)
    if bias is not None:
        scores = scores + bias
    return (scores.softmax(-1)[..., None] * value).sum(-2).flatten(1)


def decode_step(stack: Any, hidden: Tensor, bias: Tensor, cache: DecoderCache) -> Tensor:
    """One more token for every row.

    Of few operations, for threads that decode beside each other take turns with each.

    Args:
        stack: a decoder `T5Stack`.
        hidden: embedding of the newest token (B, 1, d).
        bias: position bias of all positions (1, heads, max_length, max_length).
        cache: grows by one position.

    Returns:
        Logits of the token after it (B, V).
    """
    cache.make_room()
    position, end = cache.length, cache.length + 1
    head_dim = cache.past.shape[-1]
    row = bias[0, :, position, :end]
    hidden = hidden[:, 0]
    for index, products in enumerate(cache.products.layers):
        own, cross, dense = products.layer
        projected = products.self_projections(normalise(own.layer_norm, hidden))
        projected = projected.float().view(len(hidden), 3, -1, head_dim).transpose(0, 1)
        past = cache.past[index, :, :, :, :end]
        past[:, :, :, position] = projected[1:]
        attended = _attend_once(projected[0, :, :, None], past[0], past[1], row)
        hidden = hidden + products.self_output(attended)
        query = products.cross_query(normalise(cross.layer_norm, hidden)).float()
        query = query.view(len(hidden), -1, 1, head_dim)
        keys, values = cache.memory[index]
        hidden = hidden + products.cross_output(_attend_once(query, keys, values, None))
        hidden = hidden + products.narrow(products.widen(normalise(dense.layer_norm, hidden)))
    cache.length = end
    return cache.products.to_logits(normalise(stack.final_layer_norm, hidden))
