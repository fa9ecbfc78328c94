"""Batched greedy decoding that always ends: memory -> tokens.

Rows that end leave the batch, key/value caches are preallocated in blocks, no row outlives
`max_tokens`, and unless it is switched off the grammar of a phrase keeps every row valid.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.tokens import grammar, vocabulary
from phrase_models.vae import t5_stack
from phrase_models.vae.constraint import GrammarConstraint
from phrase_models.vae.decoder_step import DecoderCache, StepProducts, decode_step
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.row_threads import equal_parts, map_on_cores
from phrase_models.vae.token_biases import NO_BIASES, TokenBiases

COMPACT_BELOW = 0.9
"""The batch shrinks to the living rows once they are fewer than this share of it."""
BATCH_SIZE = 256
ACCELERATOR_BATCH_SIZE = 8192
"""Elsewhere than on a CPU, where a step takes as long for few rows as for many."""
LEAST_ROWS = 16
"""Fewer are not worth a thread of their own."""

_NO_ENDS = np.empty((0, 2, vocabulary.NUM_PITCHES), np.float32)

Decoded = TypeVar("Decoded")
Precision = Literal["fp32", "bf16"]
"""Of the decoder's matrix products; sums, attention, norms and logits are always fp32."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class LatentDecoder:
    """A trained VAE's way from latents to phrases, most likely token at every place."""

    def __init__(
        self, vae: PhraseVAE, precision: Precision = "fp32", *, noise_level: float = 0.0
    ) -> None:
        """Take a VAE in eval mode, whose weights and device must stay as they are.

        Args:
            vae: trained.
            precision: of the decoder's matrix products.
            noise_level: standard deviations of noise that the latents are known to have; heeded
                by a VAE with `noise_level_input` alone.
        """
        self.vae, self.noise_level = vae, noise_level
        self.products = StepProducts.of(vae.decoder, vae.output_weight, _DTYPES[precision])

    def decode(
        self,
        latents: NDArray[np.float32] | Tensor,
        *,
        batch_size: int | None = None,
        constrained: bool = True,
        limits: NDArray[np.int64] | None = None,
        biases: TokenBiases = NO_BIASES,
    ) -> list[list[int]]:
        """Phrases of latents.

        Args:
            latents: (N, D), raw.
            batch_size: most rows decoded together; by default what suits the device.
            constrained: whether only valid phrases may come out (see `GrammarConstraint`).
            limits: most tokens of each row (N,), at least 1; `max_tokens` where not given.
            biases: added to the logits.

        Returns:
            N lists of token ids, without begin and end tokens, each of at most `max_tokens`.
        """
        return self._decode(latents, batch_size, limits, constrained=constrained, biases=biases)[0]

    def decode_with_ends(
        self, latents: NDArray[np.float32] | Tensor, *, biases: TokenBiases = NO_BIASES
    ) -> tuple[list[list[int]], NDArray[np.float32]]:
        """Phrases of latents (N, D), and what else they might have begun and ended with.

        Returns:
            Token ids as `decode` gives them, and the log likelihoods of all pitches as the highest
            of the first and of the last onset of each, (N, 2, 128); minus infinity where a phrase
            has no notes.
        """
        return self._decode(latents, None, None, constrained=True, biases=biases, with_ends=True)

    def _decode(
        self,
        latents: NDArray[np.float32] | Tensor,
        batch_size: int | None,
        limits: NDArray[np.int64] | None,
        *,
        constrained: bool,
        biases: TokenBiases,
        with_ends: bool = False,
    ) -> tuple[list[list[int]], NDArray[np.float32]]:
        all_limits = None if limits is None else torch.as_tensor(limits)

        def decode_batch(
            memory: Tensor, rows: slice
        ) -> tuple[list[list[int]], NDArray[np.float32]]:
            most: int | Tensor = self.vae.config.max_tokens
            if all_limits is not None:
                most = all_limits[rows].to(memory.device)
            batch = self._start(memory, most, constrained=constrained, biases=biases)
            if with_ends:
                batch.ends = PhraseEnds.of_batch(len(memory), memory.device)
            phrases = batch.finish()
            return phrases, _NO_ENDS if batch.ends is None else batch.ends.log_likelihoods()

        parts = self._map_batches(latents, batch_size, decode_batch)
        phrases = [phrase for part, _ in parts for phrase in part]
        return phrases, np.concatenate([_NO_ENDS, *(ends for _, ends in parts)])

    def first_tokens(
        self, latents: NDArray[np.float32] | Tensor, *, batch_size: int | None = None
    ) -> NDArray[np.int64]:
        """What each phrase begins with (N,): a special phrase is known by it, and complete."""

        def decode_batch(memory: Tensor, _rows: slice) -> NDArray[np.int64]:
            batch = self._start(memory, self.vae.config.max_tokens)
            batch.step()
            return batch.tokens[:, 0].cpu().numpy()

        firsts = self._map_batches(latents, batch_size, decode_batch)
        return np.concatenate([np.empty(0, np.int64), *firsts])

    def memory(self, latents: Tensor) -> Tensor:
        """Latents (B, D) -> what the decoder attends to (B, m, d)."""
        return self.vae.memory(latents, latents.new_full((len(latents), 1), self.noise_level))

    def _start(
        self,
        memory: Tensor,
        most: int | Tensor,
        *,
        constrained: bool = True,
        biases: TokenBiases = NO_BIASES,
    ) -> "_PhrasesUnderWay":
        return _PhrasesUnderWay(
            self.vae,
            self.products,
            memory,
            most,
            constrained=constrained,
            biases=biases,
        )

    def _map_batches(
        self,
        latents: NDArray[np.float32] | Tensor,
        batch_size: int | None,
        decode_batch: Callable[[Tensor, slice], Decoded],
    ) -> list[Decoded]:
        """What the decoder attends to (B, m, d) and which rows it is of -> results, by batches.

        On a CPU every core has batches of its own.
        """
        device = self.vae.embedding.weight.device
        all_rows = torch.as_tensor(np.ascontiguousarray(latents), dtype=torch.float32)

        @torch.inference_mode()
        def decode_rows(rows: slice) -> Decoded:
            return decode_batch(self.memory(all_rows[rows].to(device)), rows)

        if device.type == "cpu":
            parts = equal_parts(len(all_rows), batch_size or BATCH_SIZE, LEAST_ROWS)
            return map_on_cores(decode_rows, parts)
        size = batch_size or ACCELERATOR_BATCH_SIZE
        starts = range(0, len(all_rows), size)
        return [decode_rows(slice(start, start + size)) for start in starts]


@torch.no_grad()
def decode_memory(
    vae: PhraseVAE, memory: Tensor, max_tokens: int, *, constrained: bool = True
) -> list[list[int]]:
    """Decode what the decoder attends to, (B, m, d); see `LatentDecoder`."""
    products = StepProducts.of(vae.decoder, vae.output_weight)
    return _PhrasesUnderWay(vae, products, memory, max_tokens, constrained=constrained).finish()


def decode_latents(
    vae: PhraseVAE, latents: NDArray[np.float32] | Tensor, *, constrained: bool = True
) -> list[list[int]]:
    """Phrases of latents (N, D) once; who decodes again keeps a `LatentDecoder`."""
    return LatentDecoder(vae).decode(latents, constrained=constrained)


class _PhrasesUnderWay:
    """A batch of phrases, a token longer with each step.

    Attributes:
        tokens: all phrases so far (B, most tokens), padded by PAD.
        rows: which of them are not over, (living rows,).
        ends: what is kept of their first and last pitches, if anything.
    """

    ends: "PhraseEnds | None" = None

    def __init__(
        self,
        vae: PhraseVAE,
        products: StepProducts,
        memory: Tensor,
        max_tokens: int | Tensor,
        *,
        constrained: bool = True,
        biases: TokenBiases = NO_BIASES,
    ) -> None:
        self.vae, self.constrained = vae, constrained
        batch, device = len(memory), memory.device
        self.added = biases.by_lowest_onset(device) if biases else None
        longest = max_tokens if isinstance(max_tokens, int) else int(max_tokens.max())
        self.limits = torch.as_tensor(max_tokens, device=device).expand(batch)
        self.tokens = torch.full((batch, longest), vocabulary.PAD, device=device)
        self.bias = t5_stack.position_bias(vae.decoder, longest, longest)
        self.cache = DecoderCache.empty(vae.decoder, products, memory, longest)
        self.state = GrammarConstraint(
            batch, max_tokens, device, several_phrases=vae.config.granularity != "phrase"
        )
        self.rows = torch.arange(batch, device=device)
        self.alive = torch.ones(batch, dtype=torch.bool, device=device)
        self.newest = torch.full((batch,), vocabulary.BOS, device=device)

    def finish(self) -> list[list[int]]:
        """All phrases, without begin and end tokens, once the last is over."""
        while len(self.rows):
            self.step()
        return [_trim(row) for row in self.tokens.tolist()]

    def step(self) -> None:
        """Write a token in every row that is not over."""
        vae, state, position = self.vae, self.state, self.cache.length
        embedded = vae.embed_step(self.newest[:, None], state.lowest_onset, state.pitch_limit)
        logits = decode_step(vae.decoder, embedded, self.bias, self.cache)
        if self.added is not None:
            logits = logits + self.added[state.lowest_onset]
        allowed = state.mask(logits) if self.constrained else _without_marks(logits)
        self.newest = allowed.argmax(-1)
        if self.ends is not None:
            self.ends.note(self.rows, state.last_class == grammar.ONSET, allowed)
        state.advance(self.newest)
        written = self.alive & (self.newest != vocabulary.EOS)
        self.tokens[self.rows, position] = self.newest.where(written, vocabulary.PAD)
        self.alive = written & (position + 1 < self.limits)
        if self.constrained:
            self.alive &= ~state.only_end_may_come()
        self._compact()

    def _compact(self) -> None:
        """Drop the rows that are over, once they are worth the copying of the others."""
        living = int(self.alive.sum())
        if living > 0 and living >= COMPACT_BELOW * len(self.rows):
            return
        kept = self.alive.nonzero()[:, 0]
        if living:
            self.cache.keep(kept)
            self.state.keep(kept)
        self.rows, self.newest = self.rows[kept], self.newest[kept]
        self.limits, self.alive = self.limits[kept], self.alive[kept]


class PhraseEnds:
    """Log likelihoods of the highest pitches of the first and the last onset of each phrase."""

    def __init__(self, first: Tensor, last: Tensor) -> None:
        """Take two tensors (B, 128), minus infinity where nothing is known yet."""
        self.first, self.last = first, last

    @classmethod
    def of_batch(cls, batch: int, device: torch.device) -> "PhraseEnds":
        """For so many phrases that have not begun."""
        shape = batch, vocabulary.NUM_PITCHES
        first, last = (torch.full(shape, -torch.inf, device=device) for _ in range(2))
        return cls(first, last)

    def note(self, rows: Tensor, after_onset: Tensor, logits: Tensor) -> None:
        """Keep what may come next where a phrase has just named an onset.

        Args:
            rows: the phrases that are not over, (R,).
            after_onset: of these, which are there, (R,) bool.
            logits: of the next token, (R, V).
        """
        here = after_onset.nonzero()[:, 0]
        pitches = slice(vocabulary.FIRST_PITCH, vocabulary.FIRST_DURATION)
        found = logits[here].float().log_softmax(-1)[:, pitches]
        phrases = rows[here]
        known = self.first[phrases].isfinite().any(-1, keepdim=True)
        self.first[phrases] = torch.where(known, self.first[phrases], found)
        self.last[phrases] = found

    def log_likelihoods(self) -> NDArray[np.float32]:
        """Of the first and the last onset, (B, 2, 128)."""
        both: NDArray[np.float32] = torch.stack((self.first, self.last), dim=1).cpu().numpy()
        return both


def _without_marks(logits: Tensor) -> Tensor:
    """Logits (B, V), those of tokens that are no part of any phrase at minus infinity."""
    logits[:, [vocabulary.PAD, vocabulary.BOS, vocabulary.MASK]] = -torch.inf
    logits[:, vocabulary.FIRST_QUERY : vocabulary.FIRST_PROGRAM] = -torch.inf
    return logits


def _trim(row: Sequence[int]) -> list[int]:
    tokens = list(row)
    return tokens[: tokens.index(vocabulary.PAD)] if vocabulary.PAD in tokens else tokens
