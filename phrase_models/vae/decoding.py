"""Batched greedy decoding that always ends: memory -> tokens.

Rows that end leave the batch, key/value caches are preallocated, no row outlives `max_tokens`, and
unless it is switched off the grammar of a phrase keeps every row valid.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.tokens import vocabulary
from phrase_models.vae import t5_stack
from phrase_models.vae.constraint import GrammarConstraint
from phrase_models.vae.model import PhraseVAE

COMPACT_BELOW = 0.75
"""The batch shrinks to the living rows once they are fewer than this share of it."""


@torch.no_grad()
def decode_latents(
    vae: PhraseVAE,
    latents: NDArray[np.float32] | Tensor,
    *,
    batch_size: int = 256,
    constrained: bool = True,
) -> list[list[int]]:
    """Most likely token at every place.

    Args:
        vae: in eval mode.
        latents: (N, D), raw.
        batch_size: rows decoded together.
        constrained: whether only valid phrases may come out (see `GrammarConstraint`).

    Returns:
        N lists of token ids, without begin and end tokens, each of at most `max_tokens`.
    """
    device = vae.embedding.weight.device
    rows = torch.as_tensor(np.ascontiguousarray(latents), dtype=torch.float32)
    return [
        phrase
        for start in range(0, len(rows), batch_size)
        for phrase in decode_memory(
            vae,
            vae.memory(rows[start : start + batch_size].to(device)),
            vae.config.max_tokens,
            constrained=constrained,
        )
    ]


@torch.no_grad()
def decode_memory(
    vae: PhraseVAE, memory: Tensor, max_tokens: int, *, constrained: bool = True
) -> list[list[int]]:
    """Decode what the decoder attends to, (B, m, d); see `decode_latents`."""
    batch, device = len(memory), memory.device
    tokens = torch.full((batch, max_tokens), vocabulary.PAD, dtype=torch.long, device=device)
    bias = t5_stack.position_bias(vae.decoder, max_tokens, max_tokens)
    cache = t5_stack.new_cache(vae.decoder, memory, max_tokens)
    state = GrammarConstraint(
        batch, max_tokens, device, several_phrases=vae.config.granularity != "phrase"
    )
    rows = torch.arange(batch, device=device)
    newest = torch.full((batch, 1), vocabulary.BOS, dtype=torch.long, device=device)
    alive = torch.ones(batch, dtype=torch.bool, device=device)
    for position in range(max_tokens):
        embedded = vae.embed_step(newest, state.lowest_onset, state.pitch_limit)
        hidden = t5_stack.decode_step(vae.decoder, embedded, bias, cache)
        newest = _best_token(vae.logits(hidden[:, 0]), state if constrained else None)
        state.advance(newest[:, 0])
        alive &= newest[:, 0] != vocabulary.EOS
        tokens[rows[alive], position] = newest[alive, 0]
        living = int(alive.sum())
        if living == 0:
            break
        if living < COMPACT_BELOW * len(rows):
            kept = alive.nonzero()[:, 0]
            cache.keep(kept)
            state.keep(kept)
            rows, newest, alive = rows[kept], newest[kept], alive[kept]
    return [_trim(row) for row in tokens.tolist()]


def _best_token(logits: Tensor, constraint: GrammarConstraint | None) -> Tensor:
    """Index of the largest logit (B, 1) among those that may come."""
    if constraint is None:
        logits[:, [vocabulary.PAD, vocabulary.BOS, vocabulary.MASK]] = -torch.inf
        logits[:, vocabulary.FIRST_QUERY : vocabulary.FIRST_PROGRAM] = -torch.inf
        return logits.argmax(-1, keepdim=True)
    return constraint.mask(logits).argmax(-1, keepdim=True)


def _trim(row: Sequence[int]) -> list[int]:
    tokens = list(row)
    return tokens[: tokens.index(vocabulary.PAD)] if vocabulary.PAD in tokens else tokens
