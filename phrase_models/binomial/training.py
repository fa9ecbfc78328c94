"""Training of binomial diffusion for the training loop."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phrase_models.binomial.config import STEPS_PER_ROLL_BAR
from phrase_models.binomial.dataset import (
    RollDataset,
    SegmentBatches,
    Segments,
    held_out_segments,
    read_segments,
)
from phrase_models.binomial.known import draw_known_mask
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.network import PAST_END, RollCondition, knows_cells
from phrase_models.binomial.process import LEAST_PROBABILITY, bound_terms
from phrase_models.binomial.samplers import draw_noisy
from phrase_models.training.config import TrainingConfig
from phrase_models.training.randomness import derive_seed, numpy_generator

NUM_VALIDATION_TIMESTEPS = 4
VALIDATION_BATCH = 16
MAX_VALIDATION_SEGMENTS = 32


@dataclass(frozen=True, slots=True)
class NoisySegments:
    """The segments of one step.

    Attributes:
        cells: clean (B, C, S, P), bool.
        noisy: at their timesteps.
        timesteps: (B,).
        condition: what is known of them.
        counted: cells whose loss counts.
    """

    cells: Tensor
    noisy: Tensor
    timesteps: Tensor
    condition: RollCondition
    counted: Tensor

    def __len__(self) -> int:
        return len(self.cells)


class BinomialTraining:
    """Binomial diffusion as a `Trainable`; `TrainingConfig.batch_size` counts segments.

    Validation is on segments of validation songs (training songs where there are none) at fixed
    timesteps with fixed noise, so it is the same number for the same weights.
    """

    def __init__(
        self, model: BinomialDiffusion, dataset: RollDataset, training: TrainingConfig
    ) -> None:
        self.model, self.dataset, self.training = model, dataset, training
        self.module: nn.Module = model.network
        self.batches = SegmentBatches(dataset, batch_size=training.batch_size, seed=training.seed)
        self.held_out = held_out_segments(dataset, MAX_VALIDATION_SEGMENTS)

    def batch(self, step: int) -> NoisySegments:
        """The segments of a step; noise and timesteps come from torch's global generators."""
        model, device = self.model, self.model.device
        segments = self.batches.batch(step)
        rng = numpy_generator(self.training.seed, "known", step)
        share = model.config.objective.known_share
        mask = draw_known_mask(rng, model.config.roll, len(segments.cells), share)
        condition = segment_condition(segments, torch.from_numpy(mask)).to(device)
        timesteps = spread_timesteps(len(mask), model.process.num_timesteps).to(device)
        cells = segments.cells.to(device)
        uniforms = torch.rand(cells.shape, device=device)
        process = model.process.to(device)
        noisy = draw_noisy(cells, process.kept_at(timesteps), process.density, uniforms)
        counted = ~condition.mask & within_song(condition.places)
        return NoisySegments(cells, noisy, timesteps, condition, counted)

    def loss(self, batch: NoisySegments, rows: slice) -> dict[str, Tensor]:
        """What some segments have in the loss of a batch over its unknown cells, of a sixteenth."""
        output = self.model.output(batch.noisy[rows], batch.timesteps[rows], batch.condition[rows])
        losses = self._losses(output, batch.cells[rows]) * batch.counted[rows]
        return {"loss": self.cells_per_step * losses.sum() / batch.counted.sum()}

    @property
    def cells_per_step(self) -> int:
        """Cells of a sixteenth."""
        return self.model.config.roll.num_planes * self.model.config.roll.num_pitches

    def _losses(self, output: Tensor, cells: Tensor) -> Tensor:
        clean = cells.float()
        if self.model.config.objective.loss == "l1":
            return (output - clean).abs()
        return F.binary_cross_entropy_with_logits(output, clean, reduction="none")

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Figures of held-out segments, known cells apart.

        "score" is the training loss of a sixteenth with nothing known, "bce" the cross-entropy of a
        cell's probability, "bound" the variational bound in nats a bar (see `bound_terms`),
        "harmony_bce" the cross-entropy of a cell where the melody is known.
        """
        roll = self.model.config.roll
        figures = self._figures(with_melody=False)
        if knows_cells(self.model.config) and roll.voices == "roles":
            figures["harmony_bce"] = self._figures(with_melody=True)["bce"]
        return figures

    def _figures(self, *, with_melody: bool) -> dict[str, float]:
        precision = (
            torch.autocast(self.model.device.type, torch.bfloat16)
            if self.training.precision == "bf16"
            else nullcontext()
        )
        sums, count, num_bars = torch.zeros(3, dtype=torch.float64), 0, 0
        with precision:
            for start in range(0, len(self.held_out), VALIDATION_BATCH):
                chosen = self.held_out[start : start + VALIDATION_BATCH]
                segments = read_segments(self.dataset, chosen)
                mask = torch.zeros_like(segments.cells)
                if with_melody:
                    mask[:, : self.model.config.roll.planes_per_voice] = True
                condition = segment_condition(segments, mask)
                counted = ~mask & within_song(segments.places)
                for index in range(NUM_VALIDATION_TIMESTEPS):
                    sums += self._sums(segments, condition, counted, start, index).cpu()
                    count += int(counted.sum())
                num_bars += int((segments.places[..., 0] != PAST_END).sum())
        score, bce = (sums[:2] / count).tolist()
        steps = self.model.process.num_timesteps
        bound = float(sums[2]) / NUM_VALIDATION_TIMESTEPS * steps / num_bars
        return {"score": self.cells_per_step * score, "bce": bce, "bound": bound}

    def _sums(
        self, segments: Segments, condition: RollCondition, counted: Tensor, start: int, index: int
    ) -> Tensor:
        """Sums of loss, cross-entropy and bound over the counted cells, at a timestep a segment.

        Timesteps are spread so that the segments of a batch see different ones.
        """
        model, device = self.model, self.model.device
        cells, num_timesteps = segments.cells.to(device), model.process.num_timesteps
        rows = torch.arange(start, start + len(cells))
        fraction = (index + (rows * 0.618034) % 1.0) / NUM_VALIDATION_TIMESTEPS
        timesteps = (fraction * num_timesteps).long().clamp(max=num_timesteps - 1).to(device)
        generator = torch.Generator().manual_seed(derive_seed("validation", start, index))
        uniforms = torch.rand(cells.shape, generator=generator).to(device)
        process = model.process.to(device)
        noisy = draw_noisy(cells, process.kept_at(timesteps), process.density, uniforms)
        output = model.output(noisy, timesteps, condition.to(device))
        estimate = model.probability(output)
        held = estimate.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        losses = (
            self._losses(output, cells),
            F.binary_cross_entropy(held, cells.float(), reduction="none"),
            bound_terms(process, cells, noisy, estimate, timesteps),
        )
        within = counted.to(device)
        return torch.stack([(each * within).sum(dtype=torch.float64) for each in losses])


def spread_timesteps(count: int, num_timesteps: int) -> Tensor:
    """Timesteps (count,), each uniform, together spread evenly: less noise in a small batch."""
    places = (torch.arange(count) + torch.rand(1)) / count
    return (places[torch.randperm(count)] * num_timesteps).long().clamp(max=num_timesteps - 1)


def segment_condition(segments: Segments, mask: Tensor) -> RollCondition:
    """What is known of segments whose cells are known where `mask` (B, C, S, P) is True."""
    return RollCondition(mask, segments.cells & mask, segments.places)


def within_song(places: Tensor) -> Tensor:
    """Whether steps belong to the song and do not pad it, (B, 1, S, 1) bool."""
    within = (places[..., 0] != PAST_END).repeat_interleave(STEPS_PER_ROLL_BAR, dim=1)
    return within[:, None, :, None]
