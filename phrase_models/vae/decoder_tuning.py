"""The fourth training of PhraseVAE: a decoder that has heard errors.

A diffusion model leaves an error on every latent. Here the decoder learns to answer such latents
with music: encoder, embeddings and posterior stay as they are, so latents stay valid, and the
projection from the latent, the decoder, and its table of logits if it has one of its own are tuned
on

    latent = posterior mean + s * deviation * noise,    s uniform in [0, noise_range] for each row,

where the deviation is that of each dimension over the training phrases.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.metrics.note_matching import PhraseCounts, pool
from phrase_models.tokens import vocabulary
from phrase_models.training.config import TrainingConfig
from phrase_models.training.randomness import numpy_generator
from phrase_models.vae.config import VAEObjectiveConfig
from phrase_models.vae.encoding import encode_table
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_table import PhraseTable, teacher_forcing
from phrase_models.vae.training import PreparedBatch, VAETraining, cross_entropy

TUNED_PARTS = ("decoder.", "from_latent.", "noise_level.", "output.")
VALIDATION_LEVELS = (0.0, 0.35, 0.5)
"""Deviations of noise that held-out phrases are measured under; those after 0 are what a diffusion
model leaves."""
DEVIATION_ROWS = 16384
"""Most training phrases that the deviation is taken from: it is within half a per cent then."""


class DecoderTuning(VAETraining):
    """Phase "decoder" as a `Trainable`.

    Attributes:
        deviation: standard deviation of the latents of the training phrases (D,).
    """

    def __init__(
        self,
        vae: PhraseVAE,
        config: VAEObjectiveConfig,
        training: TrainingConfig,
        train: PhraseTable,
        validation: PhraseTable,
    ) -> None:
        super().__init__(vae, "decoder", config, training, train, validation)
        for name, parameter in vae.named_parameters():
            parameter.requires_grad = name.startswith(TUNED_PARTS)
        self.deviation = torch.from_numpy(self._latent_deviation(train)).to(self.device)
        rng = numpy_generator(training.seed, "validation", "noise")
        shape = (len(self.validation_rows), vae.config.latent_dim)
        self.validation_noise = torch.from_numpy(rng.standard_normal(shape, np.float32))

    def _latent_deviation(self, train: PhraseTable) -> NDArray[np.float32]:
        rows = numpy_generator(self.training.seed, "deviation").permutation(len(train))
        sample = train.take(np.sort(rows[:DEVIATION_ROWS]))
        return encode_table(self.module.eval(), sample).std(axis=0)

    def batch(self, step: int) -> PreparedBatch:
        """The batch of a step with levels and noise of its latents."""
        batch = self.prepared(step)
        levels = self.config.noise_range * torch.rand(len(batch), 1, device=self.device)
        noise = torch.randn(len(batch), self.module.config.latent_dim, device=self.device)
        return replace(batch, drawn=(levels, noise))

    def loss(self, batch: PreparedBatch, rows: slice) -> dict[str, Tensor]:
        """What rows have in the cross-entropy of a batch under noise."""
        part = batch[rows]
        levels, noise = part.drawn
        with torch.no_grad():
            self.module.encoder.eval()  # no dropout: latents are those that will be decoded
            means = self.module.posterior(part.source).mean
            latents = self._noisy(means, levels, noise)
        logits = self.module.decode(part.inputs, self.module.memory(latents, levels))
        reconstruction = cross_entropy(logits, part.targets) * (part.num_tokens / batch.num_tokens)
        return {"loss": reconstruction, "reconstruction": reconstruction}

    def _noisy(self, means: Tensor, levels: Tensor, noise: Tensor) -> Tensor:
        """Means and noise (B, D), levels (B, 1) -> latents (B, D)."""
        return means + levels * self.deviation * noise

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Cross-entropy averaged over the levels of noise, and F1 at each, on held-out phrases."""
        sums = dict.fromkeys(VALIDATION_LEVELS, 0.0)
        counts: dict[float, list[PhraseCounts]] = {level: [] for level in VALIDATION_LEVELS}
        num_tokens = 0
        for start, rows, tokens in self.validation_batches():
            inputs, targets = teacher_forcing(tokens)
            present = int((targets != vocabulary.PAD).sum())
            num_tokens += present
            means = self.module.posterior(tokens[:, :-1].to(self.device)).mean
            noise = self.validation_noise[start : start + len(rows)].to(self.device)
            for level in VALIDATION_LEVELS:
                levels = torch.full_like(means[:, :1], level)
                memory = self.module.memory(self._noisy(means, levels, noise), levels)
                logits = self.module.decode(inputs.to(self.device), memory)
                sums[level] += present * float(cross_entropy(logits, targets.to(self.device)))
                counts[level] += self._count(rows, memory, tokens.shape[1])
        return _figures({level: total / num_tokens for level, total in sums.items()}, counts)


def _figures(
    cross_entropies: dict[float, float], counts: dict[float, list[PhraseCounts]]
) -> dict[str, float]:
    figures = {"score": sum(cross_entropies.values()) / len(cross_entropies)}
    for level, value in cross_entropies.items():
        suffix = f"_noise_{level:g}" if level else ""
        scores = pool(counts[level])
        figures |= {
            f"reconstruction{suffix}": value,
            f"f1_op{suffix}": scores.f1_op,
            f"f1_opd{suffix}": scores.f1_opd,
            f"exact{suffix}": scores.exact_phrase_rate,
        }
    return figures
