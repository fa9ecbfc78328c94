"""One resumable training loop for every model.

Batches, noise and dropout of a step are pure functions of (seed, step), so a run that was killed
and resumed from its last checkpoint ends with the same weights, bit for bit on a CPU, as a run that
was not. A run ends at the first loss, gradient norm, weight or validation score that is not finite,
before it reaches the disk. A checkpoint that is damaged is set aside and the one before it used;
files that only tell of the training (`metrics.jsonl`, `progress.json`) cannot end it. The loop
knows nothing of models but the `Trainable` protocol, and nothing of trackers: it appends to
`metrics.jsonl`, which whoever started it may follow.

Several processes, each with some micro batches, take one batch together (see `division`); all hold
the same weights and averages, and the first alone reads, validates and writes.
"""

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from phrase_models.errors import DivergedError
from phrase_models.training.checkpoint import AVERAGE, load_state, save_state
from phrase_models.training.config import TrainingConfig
from phrase_models.training.division import WHOLE, Division
from phrase_models.training.ema import WeightAverage
from phrase_models.training.optimizer import build_optimizer, set_learning_rate
from phrase_models.training.randomness import seed_everything
from phrase_models.training.weights import (
    all_finite,
    module_weights,
    restore_weights,
    weights_to_bytes,
)

logger = logging.getLogger(__name__)


BatchT = TypeVar("BatchT", bound=Sized)


class Trainable(Protocol[BatchT]):
    """What the loop trains."""

    @property
    def module(self) -> nn.Module:
        """Everything with parameters to train."""

    def batch(self, step: int) -> BatchT:
        """All rows of a step and what is random about each but dropout; its length counts them.

        A pure function of seed and step; torch's global generators are seeded by both.
        """

    def loss(self, batch: BatchT, rows: slice) -> dict[str, Tensor]:
        """What some rows have in the scalars of their batch, "loss" among them.

        Over parts that hold each row once these shares add up to the scalars of the whole batch.
        """

    def validate(self) -> dict[str, float]:
        """Figures on held-out data, "score" among them: lower is better."""


class SpareFiles:
    """Files that only tell of a training, which goes on without them; said once of each."""

    def __init__(self) -> None:
        self._given_up: set[Path] = set()

    @contextmanager
    def in_use(self, path: Path) -> Iterator[None]:
        """Pass over whatever the disk has against a file."""
        try:
            yield
        except FileNotFoundError:
            return
        except OSError as error:
            if path not in self._given_up:
                logger.warning(
                    "%s cannot be used (%s); the training goes on.", path, error.strerror
                )
            self._given_up.add(path)


class MetricsFile:
    """`metrics.jsonl`: one object a line, {"step": int, "values": {name: number}}."""

    def __init__(self, path: Path) -> None:
        self.path, self.spare = path, SpareFiles()

    def truncate_after(self, step: int) -> None:
        """Forget what a killed run wrote after its last checkpoint, and lines that are damaged."""
        with self.spare.in_use(self.path):
            kept = [
                line
                for line in self.path.read_text(errors="replace").splitlines(keepends=True)
                if line.endswith("\n") and _step_of(line) <= step
            ]
            self.path.write_text("".join(kept))

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line."""
        with self.spare.in_use(self.path), self.path.open("a") as file:
            file.write(json.dumps({"step": step, "values": dict(values)}) + "\n")


def _step_of(line: str) -> float:
    """The step of a line of metrics; endless for what is no such line."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf


class TrainingRun:
    """The state of one run: step, best score, running means, weights and their average."""

    def __init__(
        self,
        trainable: Trainable[Any],
        config: TrainingConfig,
        state: Path,
        division: Division = WHOLE,
    ) -> None:
        self.trainable, self.config, self.division = trainable, config, division
        self.module = trainable.module
        self.device = next(self.module.parameters()).device
        self.optimizer = build_optimizer(self.module, config)
        self.average = WeightAverage(self.module, config.ema_decay) if config.ema_decay else None
        self.averages = {} if self.average is None else {AVERAGE: self.average}
        self.averages |= {
            f"average-{decay}.safetensors": WeightAverage(self.module, decay)
            for decay in config.further_ema_decays
        }
        self.checkpoint = state / "checkpoint"
        self.best: bytes | None = None
        self.metrics = MetricsFile(state / "metrics.jsonl")
        self.progress_path = state / "progress.json"
        self.step, self.best_score, self.best_step, self.stale = 0, math.inf, 0, 0
        self.sums: dict[str, float | Tensor] = {}
        self.started, self.started_step = time.monotonic(), 0
        state.mkdir(parents=True, exist_ok=True)

    def restore(self) -> None:
        """Go on where the last whole checkpoint was written, if there is one."""
        progress, self.best, complaints = load_state(
            self.checkpoint,
            self.module,
            self.optimizer,
            self._averaged_weights(),
            self.division,
        )
        if progress:
            self.step, self.best_step = progress["step"], progress["best_step"]
            self.stale, self.sums = progress["stale"], progress["sums"]
            self.best_score = progress["best_score"] if self.best_step else math.inf
            for average in self.averages.values():
                average.num_updates = self.step
            logger.info("resumed at step %d of %d", self.step, self.config.num_steps)
        for complaint in complaints:
            begun = f"goes on from step {self.step}" if progress else "begins anew"
            logger.warning("%s; the training %s.", complaint, begun)
        if self.division.is_first:
            self.metrics.truncate_after(self.step)
        self.started_step = self.step

    def check_figures(self) -> None:
        """End the run if a loss or gradient norm since the last line was not finite.

        A sum keeps what was not finite in it, so a GPU need not be waited for at every step.

        Raises:
            DivergedError: with the step so far and the sum.
        """
        for name in ("loss", "gradient_norm"):
            value = float(self.sums.get(name, 0.0))
            if not math.isfinite(value):
                raise DivergedError(self.step, f"{name.replace('_', ' ')} is {value}")

    def check_weights(self) -> None:
        """End the run if a weight, or the average of one, is not finite.

        Raises:
            DivergedError: with the step.
        """
        averages = self.average.weights.values() if self.average else ()
        if not all_finite([*module_weights(self.module).values(), *averages]):
            raise DivergedError(self.step, "a weight is not finite")

    def save(self) -> None:
        """Write a checkpoint, in the first process.

        Raises:
            DivergedError: if there is something in it that is not finite.
        """
        self.check_figures()
        self.check_weights()
        if not self.division.is_first:
            return
        save_state(
            self.checkpoint,
            self.module,
            self.optimizer,
            self._averaged_weights(),
            self.best,
            {
                "step": self.step,
                "best_step": self.best_step,
                "best_score": self.best_score if self.best_step else 0.0,
                "stale": self.stale,
                "sums": self._sums(),
            },
        )

    def _averaged_weights(self) -> dict[str, dict[str, Tensor]]:
        return {name: average.weights for name, average in self.averages.items()}

    @property
    def finished(self) -> bool:
        """Whether all steps are done or patience is at its end."""
        patience = self.config.patience
        return self.step >= self.config.num_steps or (
            patience is not None and self.stale >= patience
        )

    def train_step(self) -> None:
        """One update of the weights.

        Raises:
            DivergedError: on a CPU, if the loss or the gradient norm is not finite; on a GPU it is
                found out by whatever comes next of `log`, `validate` and `save`.
        """
        config = self.config
        self.module.train()
        values = self._accumulate_gradients()
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), config.gradient_clip)
        set_learning_rate(self.optimizer, config, self.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        for average in self.averages.values():
            average.update(self.module)
        for name, value in {**values, "gradient_norm": norm}.items():
            self.sums[name] = self.sums.get(name, 0.0) + self._number(value)
        if self.device.type == "cpu":
            self.check_figures()

    def _accumulate_gradients(self) -> dict[str, Tensor]:
        """Gradients of the step's whole batch, and its scalars, however it is divided."""
        seed_everything(self.config.seed, "train", self.step)
        batch = self.trainable.batch(self.step)
        totals: dict[str, Tensor] = {}
        for part in self.division.parts(len(batch)):
            if part.count > 1:  # or dropout would be the same in every part
                seed_everything(self.config.seed, "train", self.step, "part", part.index)
            with self._precision():
                values = self.trainable.loss(batch, part.rows)
            torch.autograd.backward(part.weight * values["loss"])
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + part.weight * value.detach()
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        self.division.add_up([*gradients, *totals.values()])
        return totals

    def _precision(self) -> AbstractContextManager[object]:
        if self.config.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _number(self, value: Tensor) -> float | Tensor:
        """What the running sums add up: a double, on a GPU one that nobody waits for."""
        return value.double() if self.device.type == "cuda" else float(value)

    def _sums(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.sums.items()}

    def validate(self) -> None:
        """Measure on held-out data; keep the weights if they are the best so far.

        Raises:
            DivergedError: if the score or a weight is not finite; other figures may be undefined.
        """
        self.check_figures()
        self.check_weights()
        seed_everything(self.config.seed, "validate")
        self.module.eval()
        averaged = self.average.in_place(self.module) if self.average else nullcontext()
        with torch.no_grad(), averaged:
            figures = self.division.of_first(self.trainable.validate)
            if not math.isfinite(figures["score"]):
                raise DivergedError(self.step, f"validation score is {figures['score']}")
            if figures["score"] < self.best_score or self.config.keep == "last":
                self.best_score, self.best_step, self.stale = figures["score"], self.step, 0
                self.best = weights_to_bytes(module_weights(self.module))
            else:
                self.stale += 1
        if not self.division.is_first:
            return
        self.metrics.append(self.step, {f"validation/{k}": v for k, v in figures.items()})
        logger.info("step %d validation %s", self.step, figures)

    def log(self) -> None:
        """Append the means since the last line, and how fast it goes.

        Raises:
            DivergedError: if a loss or gradient norm since then was not finite.
        """
        self.check_figures()
        count = self.step % self.config.log_every or self.config.log_every
        means = {f"train/{k}": v / count for k, v in self._sums().items()}
        self.sums = {}
        if not self.division.is_first:
            return
        self.metrics.append(self.step, means)
        elapsed = time.monotonic() - self.started
        progress = {
            "step": self.step,
            "num_steps": self.config.num_steps,
            "seconds_per_step": elapsed / max(1, self.step - self.started_step),
        }
        aside = self.progress_path.with_suffix(".tmp")
        with self.metrics.spare.in_use(self.progress_path):
            aside.write_text(json.dumps(progress))
            aside.replace(self.progress_path)

    def take_best(self) -> None:
        """Put the best weights into the module, for use."""
        if self.best is not None:
            restore_weights(self.module, self.best)
        self.module.eval()


def fit(
    trainable: Trainable[Any], config: TrainingConfig, state: Path, division: Division = WHOLE
) -> dict[str, Any]:
    """Train, or go on training, until the steps or the patience are used up.

    Args:
        trainable: the model with its data; ends up with the best weights (averaged ones where an
            average is kept).
        config: budget and optimiser.
        state: folder that survives a kill: two generations of checkpoints (see `generations`) with
            the best weights so far, and `metrics.jsonl`. Averages of `further_ema_decays` lie in
            the checkpoint, as "average-0.999.safetensors". The first process alone uses it.
        division: of the batches; changes nothing beyond rounding, and which units drop out.

    Returns:
        {"steps": done, "best_step": int, "best_score": float}.

    Raises:
        DivergedError: if the training diverges; the last checkpoint is still there.
        LostProcessError: if another process of the training is gone.
    """
    run = TrainingRun(trainable, config, state, division)
    run.restore()
    while not run.finished:
        run.train_step()
        last = run.step == config.num_steps
        if run.step % config.log_every == 0 or last:
            run.log()
        if run.step % config.validate_every == 0 or last:
            run.validate()
        if run.step % config.checkpoint_every == 0 or run.finished:
            run.save()
    run.take_best()
    return {"steps": run.step, "best_step": run.best_step, "best_score": run.best_score}
