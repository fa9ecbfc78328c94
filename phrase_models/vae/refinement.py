"""Latents that the decoder answers with the very phrase: what the encoder missed, by optimisation.

The encoder's posterior mean is a guess in one pass, and the decoder can say more than the encoder
finds (the amortisation gap: Kim et al. 2018, "Semi-Amortized Variational Autoencoders"). From that
mean z0 each phrase that does not come back takes some steps of Adam down

    sum of the cross-entropies of its tokens under teacher forcing + pull * |z - z0|^2

with all weights fixed. Rows are independent of each other, so how they are batched is a matter of
speed and of rounding alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.metrics.note_matching import PhraseCounts, count_bar
from phrase_models.tokens import vocabulary
from phrase_models.tokens.units import decode_unit
from phrase_models.vae.decoding import LatentDecoder
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_lengths import padded_length
from phrase_models.vae.phrase_table import PhraseTable, teacher_forcing
from phrase_models.vae.refinement_config import RefinementConfig
from phrase_models.vae.row_threads import map_on_cores

ACCELERATOR_TOKENS = 2**18
"""Padded tokens of a batch elsewhere than on a CPU: some gigabytes, and few batches."""


@dataclass(frozen=True, slots=True)
class RefinedLatents:
    """Latents of N phrases after refinement, and what it did.

    Attributes:
        latents: (N, D); rows that are not in `num_improved` are as they came in.
        outputs: tokens that each latent decodes to.
        num_refined: phrases that did not come back and were tried.
        num_improved: of these, those that kept another latent.
        num_exact_before: phrases that came back token for token from the latents that came in.
        num_exact_after: the same of `latents`.
        moved: root mean square over dimensions and improved phrases of how far they moved.
    """

    latents: NDArray[np.float32]
    outputs: list[list[int]]
    num_refined: int
    num_improved: int
    num_exact_before: int
    num_exact_after: int
    moved: float

    @property
    def num_phrases(self) -> int:
        """Different phrases that there were."""
        return self.num_refined + self.num_exact_before

    def expanded(self, rows: Sequence[int]) -> "RefinedLatents":
        """The same for phrases that repeat: row n is phrase rows[n], the counts stay."""
        outputs = [self.outputs[row] for row in rows]
        return replace(self, latents=self.latents[rows], outputs=outputs)


def refine(
    decoder: LatentDecoder,
    phrases: Sequence[Sequence[int]],
    latents: NDArray[np.float32],
    config: RefinementConfig,
) -> RefinedLatents:
    """Improve the latents of those phrases whose greedy decoding is not the phrase.

    A phrase keeps its new latent where that decodes to it, or to matches in onset and pitch, in
    duration and in program of which none is less and some are more; so no pooled F1 ever falls.

    Args:
        decoder: decides what comes back; the weights of its VAE are the same afterwards.
        phrases: N token sequences, without begin and end tokens; best given once each.
        latents: their posterior means (N, D).
        config: steps, rate, pull and batch.

    Returns:
        The latents, new arrays, with what they decode to.

    Raises:
        ValueError: if the lengths differ.
    """
    if len(phrases) != len(latents):
        message = f"There are {len(phrases)} phrases but {len(latents)} latents."
        raise ValueError(message)
    targets = [list(phrase) for phrase in phrases]
    lengths = np.array([len(target) for target in targets], np.int64)
    everything = np.argsort(lengths, kind="stable")
    refined = np.array(latents, np.float32)
    outputs = _decoded(decoder, refined, everything)
    lost = [row for row in everything.tolist() if outputs[row] != targets[row]]
    improved: list[int] = []
    if lost:
        rows = np.array(lost, np.int64)
        candidates = refined.copy()
        candidates[rows] = _descend(decoder, [targets[row] for row in lost], refined[rows], config)
        found = _decoded(decoder, candidates, rows)
        improved = [row for row in lost if _is_better(targets[row], outputs[row], found[row])]
        refined[improved] = candidates[improved]
        outputs |= {row: found[row] for row in improved}
    change = refined[improved] - np.asarray(latents, np.float32)[improved]
    num_rescued = sum(outputs[row] == targets[row] for row in improved)
    return RefinedLatents(
        latents=refined,
        outputs=[outputs[row] for row in range(len(targets))],
        num_refined=len(lost),
        num_improved=len(improved),
        num_exact_before=len(targets) - len(lost),
        num_exact_after=len(targets) - len(lost) + num_rescued,
        moved=float(np.sqrt(np.square(change).mean())) if improved else 0.0,
    )


def _decoded(
    decoder: LatentDecoder, latents: NDArray[np.float32], rows: NDArray[np.int64]
) -> dict[int, list[int]]:
    """What these rows decode to; best in the order of their lengths, for batches end together."""
    return dict(zip(rows.tolist(), decoder.decode(latents[rows]), strict=True))


def _is_better(target: list[int], before: list[int], after: list[int]) -> bool:
    if after == target:
        return True
    wanted = decode_unit(target)
    old = _matches_and_errors(count_bar(wanted, decode_unit(before)))
    new = _matches_and_errors(count_bar(wanted, decode_unit(after)))
    return new != old and all(n >= o for n, o in zip(new, old, strict=True))


def _matches_and_errors(counts: PhraseCounts) -> tuple[int, ...]:
    """Figures of which more is better: if none falls, no F1 pooled with any others falls.

    Matches alone are not enough, for wrong notes beside them cost too; errors alone neither, for
    fewer notes make the same errors a larger share.
    """
    num_notes = counts.num_target + counts.num_output
    matched = (counts.matched_op, counts.matched_opd, counts.matched_iopd)
    exact = counts.num_exact + counts.num_special_correct
    return (*matched, *(2 * count - num_notes for count in matched), exact)


def _descend(
    decoder: LatentDecoder,
    targets: Sequence[Sequence[int]],
    latents: NDArray[np.float32],
    config: RefinementConfig,
) -> NDArray[np.float32]:
    """Latents (R, D) of targets in ascending order of length, after the steps."""
    table, vae = PhraseTable.from_rows(targets), decoder.vae
    device = vae.embedding.weight.device
    on_cpu = device.type == "cpu"
    size = config.batch_size
    if on_cpu:
        batches = [range(i, min(i + size, len(targets))) for i in range(0, len(targets), size)]
    else:
        batches = _batches_of_tokens(padded_length(table.lengths).tolist(), ACCELERATOR_TOKENS)

    def descend_batch(batch: range) -> NDArray[np.float32]:
        rows = np.asarray(batch)
        tokens = table.padded(rows, padded_length(int(table.lengths[rows].max())))
        means = torch.from_numpy(latents[rows])
        return _steps(decoder, tokens.to(device), means.to(device), config).cpu().numpy()

    with _fixed_weights(vae):
        if on_cpu:
            return np.concatenate(map_on_cores(descend_batch, batches))
        return np.concatenate([descend_batch(batch) for batch in batches])


def _batches_of_tokens(lengths: Sequence[int], most: int) -> list[range]:
    """Consecutive rows, of ascending lengths, in batches of at most so many padded tokens."""
    batches, start = [], 0
    for row, length in enumerate(lengths):
        if row > start and (row + 1 - start) * length > most:
            batches.append(range(start, row))
            start = row
    return [*batches, range(start, len(lengths))]


@contextmanager
def _fixed_weights(vae: PhraseVAE) -> Iterator[None]:
    """No gradient of any weight, which would cost as much as those of the latents."""
    trained = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad = True


def _steps(
    decoder: LatentDecoder, tokens: Tensor, means: Tensor, config: RefinementConfig
) -> Tensor:
    """Tokens (B, T) with room for an end token and means (B, D) -> latents (B, D), in fp32."""
    inputs, targets = teacher_forcing(tokens)
    # A thread of its own has grad mode and autocast of its own.
    with torch.enable_grad(), torch.autocast(means.device.type, enabled=False):
        latents = means.clone().requires_grad_()
        optimizer = torch.optim.Adam([latents], lr=config.learning_rate)
        for _ in range(config.num_steps):
            logits = decoder.vae.decode(inputs, decoder.memory(latents))
            loss = F.cross_entropy(
                logits.flatten(0, 1),
                targets.flatten(),
                ignore_index=vocabulary.PAD,
                reduction="sum",
            )
            loss = loss + config.pull * (latents - means).square().sum()
            (latents.grad,) = torch.autograd.grad(loss, latents)
            optimizer.step()
    return latents.detach()
