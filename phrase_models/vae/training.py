"""The first three training phases of PhraseVAE (paper section 3.2, figure 2) for the training loop.

1. "infilling": span infilling without any bottleneck, on phrases and whole bars.
2. "autoencoder": the outputs of the query tokens are all the decoder sees.
3. "vae": the tight bottleneck with its KL term.

The fourth, "decoder", is in `decoder_tuning`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.errors import ConfigurationError
from phrase_models.metrics.note_matching import PhraseCounts, count_bar, pool
from phrase_models.tokens import vocabulary
from phrase_models.tokens.corruption import corrupt
from phrase_models.tokens.units import decode_unit
from phrase_models.training.config import TrainingConfig
from phrase_models.training.prefetch import Prefetch
from phrase_models.training.randomness import numpy_generator
from phrase_models.training.warmup import warmup_share
from phrase_models.vae.config import VAEObjectiveConfig, VAEPhase
from phrase_models.vae.decoding import decode_memory
from phrase_models.vae.model import PhraseVAE, Posterior
from phrase_models.vae.phrase_lengths import LENGTH_MULTIPLE, padded_length, rounded_up
from phrase_models.vae.phrase_table import (
    VALIDATION_BATCH,
    VALIDATION_ROWS,
    PhraseBatches,
    PhraseTable,
    teacher_forcing,
)

PREPARED_STEPS = 3
"""Batches that are ready before an accelerator asks for them."""


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """The tokens of one training step, and what is random about it.

    Attributes:
        step: which.
        source: what the encoder reads (B, T).
        inputs: what the decoder reads (B, U), beginning with BOS.
        targets: what the decoder should say (B, U), padded by PAD.
        lengths: tokens of each target (B,), always on the CPU.
        drawn: random numbers of the phase, each with a row a row of the batch.
    """

    step: int
    source: Tensor
    inputs: Tensor
    targets: Tensor
    lengths: Tensor
    drawn: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: slice) -> "PreparedBatch":
        """Some rows."""
        return PreparedBatch(
            self.step,
            self.source[rows],
            self.inputs[rows],
            self.targets[rows],
            self.lengths[rows],
            tuple(numbers[rows] for numbers in self.drawn),
        )

    @property
    def num_tokens(self) -> int:
        """Of all targets."""
        return int(self.lengths.sum())

    def pinned(self) -> "PreparedBatch":
        """In memory that a device copies from without the program waiting."""
        return replace(
            self,
            source=self.source.pin_memory(),
            inputs=self.inputs.pin_memory(),
            targets=self.targets.pin_memory(),
        )

    def to(self, device: torch.device) -> "PreparedBatch":
        """On another device."""
        return replace(
            self,
            source=self.source.to(device, non_blocking=True),
            inputs=self.inputs.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
        )


class VAETraining:
    """One phase as a `Trainable`."""

    def __init__(
        self,
        vae: PhraseVAE,
        phase: VAEPhase,
        config: VAEObjectiveConfig,
        training: TrainingConfig,
        train: PhraseTable,
        validation: PhraseTable,
        bars: PhraseTable | None = None,
    ) -> None:
        self.module: PhraseVAE = vae
        self.phase, self.config, self.training = phase, config, training
        self.device = vae.embedding.weight.device
        self.batches = PhraseBatches(
            train,
            batch_tokens=training.batch_size,
            seed=training.seed,
            count_exponent=config.count_exponent,
            special_share=config.special_share,
            transposed_share=config.transposed_share,
            augmented_share=config.augmented_share,
            max_tokens=vae.config.max_tokens,
            bars=bars if phase == "infilling" else None,
            bar_share=config.bar_share,
        )
        self.validation = validation
        # Ordered by length, so that batches hold little padding; the choice is fixed by the seed.
        rows = numpy_generator(training.seed, "validation").permutation(len(validation))
        rows = np.sort(rows[:VALIDATION_ROWS])
        self.validation_rows = rows[np.argsort(validation.lengths[rows], kind="stable")]

        on_cpu = self.device.type == "cpu"
        self._prepared = Prefetch(self.prepare, ahead=0 if on_cpu else PREPARED_STEPS)

    def prepare(self, step: int) -> PreparedBatch:
        """The batch of a step in the host's memory; without global random numbers."""
        tokens = self.batches.batch(step)
        inputs, targets = teacher_forcing(tokens)
        lengths = (targets != vocabulary.PAD).sum(1)
        batch = PreparedBatch(step, self._source(tokens, step), inputs, targets, lengths)
        return batch.pinned() if self.device.type == "cuda" else batch

    def prepared(self, step: int) -> PreparedBatch:
        """The batch of a step on the device of the model."""
        return self._prepared(step).to(self.device)

    def batch(self, step: int) -> PreparedBatch:
        """The batch of a step with hidden inputs and with the noise on its latents."""
        batch = self.prepared(step)
        batch = replace(batch, inputs=self._masked(batch.inputs))
        if self.phase != "vae":
            return batch
        shape, deviation = (len(batch), self.module.config.latent_dim), self.config.latent_noise
        drawn = [torch.randn(shape, device=self.device)]
        if deviation:
            drawn.append(deviation * torch.randn(shape, device=self.device))
        return replace(batch, drawn=tuple(drawn))

    def loss(self, batch: PreparedBatch, rows: slice) -> dict[str, Tensor]:
        """What rows have in a batch's cross-entropy, and in the weighted KL term of phase "vae".

        Raises:
            ConfigurationError: if a batch is divided though `free_bits` looks at all its rows.
        """
        part = batch[rows]
        logits, posterior = self.module(part.source, part.inputs, self.phase, *part.drawn)
        reconstruction = cross_entropy(logits, part.targets) * (part.num_tokens / batch.num_tokens)
        if posterior is None:
            return {"loss": reconstruction, "reconstruction": reconstruction}
        free_bits = self.config.free_bits
        if free_bits and len(part) < len(batch):
            message = (
                "Setting free_bits looks at whole batches, which are divided here: train it in one "
                "process with one micro batch."
            )
            raise ConfigurationError(message)
        divergence = posterior.kl_divergence(free_bits).mean() * (len(part) / len(batch))
        weight = self.config.kl_weight * warmup_share(batch.step, self.config.kl_warmup_steps)
        return {
            "loss": reconstruction + weight * divergence,
            "reconstruction": reconstruction,
            "kl": divergence,
        }

    def _masked(self, inputs: Tensor) -> Tensor:
        """Hide some decoder inputs, a different share in each row, so the latent must be read."""
        fraction = self.config.decoder_mask_fraction
        if not fraction:
            return inputs
        share = 2 * fraction * torch.rand(len(inputs), 1, device=inputs.device)
        hidden = (torch.rand(inputs.shape, device=inputs.device) < share) & (
            inputs != vocabulary.BOS
        )
        return inputs.masked_fill(hidden & (inputs != vocabulary.PAD), vocabulary.MASK)

    def _source(self, tokens: Tensor, step: int) -> Tensor:
        """What the encoder reads: no end token, so none of the room for one."""
        return self._corrupted(tokens, step) if self.phase == "infilling" else tokens[:, :-1]

    def _corrupted(self, tokens: Tensor, step: int) -> Tensor:
        rng = numpy_generator(self.training.seed, "infilling", step)
        rows = [
            corrupt([token for token in row if token != vocabulary.PAD], rng)
            for row in tokens.tolist()
        ]
        width = rounded_up(max(len(row) for row in rows))
        return torch.tensor([row + [vocabulary.PAD] * (width - len(row)) for row in rows])

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss at the posterior mean, and F1 of greedy decoding, on held-out phrases."""
        reconstruction = divergence = 0.0
        num_tokens = 0
        counts: list[PhraseCounts] = []
        for start, rows, tokens in self.validation_batches():
            inputs, targets = teacher_forcing(tokens)
            source = self._source(tokens, start)
            memory, memory_mask, posterior = self._memory(source.to(self.device))
            logits = self.module.decode(inputs.to(self.device), memory, memory_mask)
            present = int((targets != vocabulary.PAD).sum())
            reconstruction += present * float(cross_entropy(logits, targets.to(self.device)))
            num_tokens += present
            if posterior is not None:
                divergence += float(posterior.kl_divergence().sum())
            if self.phase != "infilling":
                counts += self._count(rows, memory, tokens.shape[1])
        figures = {"reconstruction": reconstruction / num_tokens}
        if self.phase == "vae":
            figures["kl"] = divergence / len(self.validation_rows)
        figures["score"] = figures["reconstruction"] + self.config.kl_weight * figures.get("kl", 0)
        if counts:
            scores = pool(counts)
            figures |= {"f1_op": scores.f1_op, "f1_opd": scores.f1_opd}
            figures["exact"] = scores.exact_phrase_rate
        return figures

    def validation_batches(self) -> Iterator[tuple[int, NDArray[np.int64], Tensor]]:
        """Held-out phrases, shorter ones first.

        Yields:
            Where the batch begins, its rows of the validation table (B,), their tokens (B, T).
        """
        # Decoding takes an accelerator as long for few rows as for many.
        size = VALIDATION_BATCH if self.device.type == "cpu" else VALIDATION_ROWS
        for start in range(0, len(self.validation_rows), size):
            rows = self.validation_rows[start : start + size]
            longest = int(self.validation.lengths[rows].max())
            yield start, rows, self.validation.padded(rows, padded_length(longest))

    def _count(self, rows: NDArray[np.int64], memory: Tensor, longest: int) -> list[PhraseCounts]:
        """Notes of rows of the validation table against what their memory decodes to."""
        outputs = decode_memory(self.module, memory, longest + LENGTH_MULTIPLE)
        targets = [self.validation.row(row) for row in rows.tolist()]
        return [
            count_bar(decode_unit(target), decode_unit(output))
            for target, output in zip(targets, outputs, strict=True)
        ]

    def _memory(self, tokens: Tensor) -> tuple[Tensor, Tensor | None, Posterior | None]:
        if self.phase == "infilling":
            hidden, mask = self.module.encode_tokens(tokens)
            return hidden, mask, None
        if self.phase == "autoencoder":
            return self.module.compress(tokens), None, None
        posterior = self.module.posterior(tokens)
        return self.module.memory(posterior.mean), None, posterior


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the tokens that are there; (B, T, V) and (B, T)."""
    return F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=vocabulary.PAD
    )
