"""PianoTree VAE for the training loop, and its reconstructions of bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.baselines.pianotree.config import PianoTreeConfig, PianoTreeObjectiveConfig
from phrase_models.baselines.pianotree.grid import bars_to_grid, flatten_bar, grid_to_bars
from phrase_models.baselines.pianotree.model import PianoTreeVAE, num_notes
from phrase_models.metrics.note_matching import count_phrase, pool
from phrase_models.model_files import read_json_object
from phrase_models.score.song import Phrase
from phrase_models.training.config import TrainingConfig
from phrase_models.training.randomness import numpy_generator
from phrase_models.training.warmup import warmup_share
from phrase_models.training.weights import load_module, module_weights, save_weights
from phrase_models.vae.phrase_table import (
    VALIDATION_BATCH,
    VALIDATION_ROWS,
    PhraseBatches,
    PhraseTable,
)
from phrase_models.whole_files import write_whole_json


@dataclass(frozen=True, slots=True)
class BarBatch:
    """Bars of one step.

    Attributes:
        step: which.
        grid: (B, P, N, 1 + bits).
        noise: standard normal (B, D).
    """

    step: int
    grid: Tensor
    noise: Tensor

    def __len__(self) -> int:
        return len(self.grid)


class PianoTreeTraining:
    """PianoTree VAE as a `Trainable`, on tables whose rows are whole bars.

    Batches and validation rows are those of `VAETraining` with the same seed, tables and sizes, so
    that both models see the same bars.
    """

    def __init__(
        self,
        vae: PianoTreeVAE,
        objective: PianoTreeObjectiveConfig,
        training: TrainingConfig,
        train: PhraseTable,
        validation: PhraseTable,
    ) -> None:
        self.module: PianoTreeVAE = vae
        self.objective, self.training = objective, training
        self.device = vae.to_posterior.weight.device
        self.batches = PhraseBatches(
            train,
            batch_tokens=training.batch_size,
            seed=training.seed,
            count_exponent=objective.count_exponent,
            special_share=objective.special_share,
            transposed_share=objective.transposed_share,
        )
        self.validation = validation
        rows = numpy_generator(training.seed, "validation").permutation(len(validation))
        self.validation_rows: NDArray[np.int64] = np.sort(rows[:VALIDATION_ROWS])

    def batch(self, step: int) -> BarBatch:
        """The bars of a step, and the noise that their latents are sampled by."""
        grid = self._grid(self.batches.batch(step).tolist())
        noise = torch.randn(len(grid), self.module.config.latent_dim, device=self.device)
        return BarBatch(step, grid, noise)

    def loss(self, batch: BarBatch, rows: slice) -> dict[str, Tensor]:
        """What rows have in the reconstruction and in the weighted KL of a batch.

        Which notes are read as the decoder would have written them (`sampled_share`) is drawn by
        part, as dropout is.
        """
        grid = batch.grid[rows]
        posterior = self.module.posterior(grid)
        latents = posterior.sample(batch.noise[rows]).to(self.module.to_posterior.weight.dtype)
        output = self.module.decode(latents, grid, self.objective.sampled_share)
        notes, all_notes = (max(1, int(num_notes(part).sum())) for part in (grid, batch.grid))
        reconstruction = self.module.reconstruction_loss(output) * (notes / all_notes)
        divergence = posterior.kl_divergence().mean() * (len(grid) / len(batch))
        weight = self.objective.kl_weight * warmup_share(batch.step, self.objective.kl_warmup_steps)
        return {
            "loss": reconstruction + weight * divergence,
            "reconstruction": reconstruction,
            "kl": divergence,
        }

    def _grid(self, bars: Sequence[Sequence[int]]) -> Tensor:
        return bars_to_grid(bars, self.module.config.shape)[0].to(self.device)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss at the posterior mean, and F1 of greedy decoding, on flattened held-out bars.

        Targets are the flattened notes themselves, not the grid's: what it cannot hold is missed.
        """
        bars = [self.validation.row(row) for row in self.validation_rows.tolist()]
        reconstruction = divergence = 0.0
        num_notes = 0
        outputs: list[Phrase | None] = []
        for start in range(0, len(bars), VALIDATION_BATCH):
            grid = self._grid(bars[start : start + VALIDATION_BATCH])
            posterior = self.module.posterior(grid)
            forced = self.module.decode(posterior.mean, grid)
            notes = len(forced.bits)
            reconstruction += notes * float(self.module.reconstruction_loss(forced))
            num_notes += notes
            divergence += float(posterior.kl_divergence().sum())
            outputs += grid_to_bars(self.module.greedy(posterior.mean))
        figures = {
            "reconstruction": reconstruction / max(1, num_notes),
            "kl": divergence / len(bars),
        }
        figures["score"] = figures["reconstruction"] + self.objective.kl_weight * figures["kl"]
        scores = pool(
            count_phrase(flatten_bar(bar), output)
            for bar, output in zip(bars, outputs, strict=True)
        )
        figures |= {"f1_op": scores.f1_op, "f1_opd": scores.f1_opd}
        figures["exact"] = scores.exact_phrase_rate
        return figures


def save_pianotree(vae: PianoTreeVAE, folder: Path) -> None:
    """Write weights and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(module_weights(vae), folder / "model.safetensors")
    description = {"class": "PianoTreeVAE", "config": vae.config.model_dump()}
    write_whole_json(folder / "config.json", description, indent=1)


def load_pianotree(folder: Path) -> PianoTreeVAE:
    """Read what `save_pianotree` wrote, on the CPU.

    Raises:
        ConfigurationError: if there is no model, or a damaged one.
    """
    config = read_json_object(folder / "config.json").part("config", PianoTreeConfig)
    return load_module(lambda: PianoTreeVAE(config), folder / "model.safetensors").eval()


@torch.no_grad()
def reconstruct_bars(
    vae: PianoTreeVAE, bars: Sequence[Sequence[int]], batch_size: int = VALIDATION_BATCH
) -> list[Phrase | None]:
    """Bars of tokens through the posterior mean and greedy decoding.

    Args:
        vae: in evaluation mode or not, it has no dropout.
        bars: rows of tokens, see `bars_to_grid`.
        batch_size: bars at once; changes nothing but the time.

    Returns:
        Flattened bars, to be compared with `flatten_bar` of the same tokens.
    """
    device, shape = vae.to_posterior.weight.device, vae.config.shape
    outputs: list[Phrase | None] = []
    for start in range(0, len(bars), batch_size):
        grid, _ = bars_to_grid(bars[start : start + batch_size], shape)
        latents = vae.posterior(grid.to(device)).mean
        outputs += grid_to_bars(vae.greedy(latents))
    return outputs
