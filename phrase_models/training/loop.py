"""One resumable training loop for every model.

Batches, noise and dropout of a step are pure functions of (seed, step), so a run that was killed
and resumed from its last checkpoint ends with the same weights, bit for bit on a CPU, as a run that
was not. The loop knows nothing of models but the `Trainable` protocol, and nothing of trackers: it
appends to `metrics.jsonl`, which whoever started it may follow.
"""

import json
import logging
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from phrase_models.training.checkpoint import (
    load_state,
    load_weights,
    module_weights,
    save_state,
    save_weights,
)
from phrase_models.training.config import TrainingConfig
from phrase_models.training.ema import WeightAverage
from phrase_models.training.optimizer import build_optimizer, set_learning_rate
from phrase_models.training.randomness import seed_everything

logger = logging.getLogger(__name__)


class Trainable(Protocol):
    """What the loop trains."""

    @property
    def module(self) -> nn.Module:
        """Everything with parameters to train."""

    def loss(self, step: int) -> dict[str, Tensor]:
        """Scalars of one batch, "loss" among them; a pure function of weights, seed and step."""

    def validate(self) -> dict[str, float]:
        """Figures on held-out data, "score" among them: lower is better."""


class MetricsFile:
    """`metrics.jsonl`: one object a line, {"step": int, "values": {name: number}}."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def truncate_after(self, step: int) -> None:
        """Forget what a killed run wrote after its last checkpoint."""
        if not self.path.exists():
            return
        lines = self.path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        self.path.write_text("".join(kept))

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "values": dict(values)}) + "\n")


class TrainingRun:
    """The state of one run: step, best score, running means, weights and their average."""

    def __init__(self, trainable: Trainable, config: TrainingConfig, state: Path) -> None:
        self.trainable, self.config = trainable, config
        self.module = trainable.module
        self.device = next(self.module.parameters()).device
        self.optimizer = build_optimizer(self.module, config)
        self.average = WeightAverage(self.module, config.ema_decay) if config.ema_decay else None
        self.checkpoint, self.best_path = state / "checkpoint", state / "best.safetensors"
        self.metrics = MetricsFile(state / "metrics.jsonl")
        self.progress_path = state / "progress.json"
        self.step, self.best_score, self.best_step, self.stale = 0, math.inf, 0, 0
        self.sums: dict[str, float | Tensor] = {}
        self.started, self.started_step = time.monotonic(), 0
        state.mkdir(parents=True, exist_ok=True)

    def restore(self) -> None:
        """Go on where the last checkpoint was written, if there is one."""
        weights = self.average.weights if self.average else None
        progress = load_state(self.checkpoint, self.module, self.optimizer, weights)
        if progress:
            self.step, self.best_step = progress["step"], progress["best_step"]
            self.stale, self.sums = progress["stale"], progress["sums"]
            self.best_score = progress["best_score"] if self.best_step else math.inf
            if self.average:
                self.average.num_updates = self.step
            logger.info("resumed at step %d of %d", self.step, self.config.num_steps)
        self.metrics.truncate_after(self.step)
        self.started_step = self.step

    def save(self) -> None:
        """Write a checkpoint."""
        save_state(
            self.checkpoint,
            self.module,
            self.optimizer,
            self.average.weights if self.average else None,
            {
                "step": self.step,
                "best_step": self.best_step,
                "best_score": self.best_score if self.best_step else 0.0,
                "stale": self.stale,
                "sums": {name: float(total) for name, total in self.sums.items()},
            },
        )

    @property
    def finished(self) -> bool:
        """Whether all steps are done or patience is at its end."""
        patience = self.config.patience
        return self.step >= self.config.num_steps or (
            patience is not None and self.stale >= patience
        )

    def train_step(self) -> None:
        """One update of the weights."""
        config = self.config
        seed_everything(config.seed, "train", self.step)
        self.module.train()
        precision = (
            torch.autocast(self.device.type, torch.bfloat16)
            if config.precision == "bf16"
            else nullcontext()
        )
        with precision:
            values = self.trainable.loss(self.step)
        torch.autograd.backward(values["loss"])
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), config.gradient_clip)
        set_learning_rate(self.optimizer, config, self.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        if self.average:
            self.average.update(self.module)
        for name, value in {**values, "gradient_norm": norm}.items():
            self.sums[name] = self.sums.get(name, 0.0) + self._number(value.detach())

    def _number(self, value: Tensor) -> float | Tensor:
        """What the running sums add up: a double, on a GPU one that nobody waits for."""
        return value.double() if self.device.type == "cuda" else float(value)

    def validate(self) -> None:
        """Measure on held-out data; keep the weights if they are the best so far."""
        seed_everything(self.config.seed, "validate")
        self.module.eval()
        averaged = self.average.in_place(self.module) if self.average else nullcontext()
        with torch.no_grad(), averaged:
            figures = self.trainable.validate()
            if figures["score"] < self.best_score or self.config.keep == "last":
                self.best_score, self.best_step, self.stale = figures["score"], self.step, 0
                save_weights(module_weights(self.module), self.best_path)
            else:
                self.stale += 1
        self.metrics.append(self.step, {f"validation/{k}": v for k, v in figures.items()})
        logger.info("step %d validation %s", self.step, figures)

    def log(self) -> None:
        """Append the means since the last line, and how fast it goes."""
        count = self.step % self.config.log_every or self.config.log_every
        means = {f"train/{k}": float(v) / count for k, v in self.sums.items()}
        self.metrics.append(self.step, means)
        self.sums = {}
        elapsed = time.monotonic() - self.started
        progress = {
            "step": self.step,
            "num_steps": self.config.num_steps,
            "seconds_per_step": elapsed / max(1, self.step - self.started_step),
        }
        aside = self.progress_path.with_suffix(".tmp")
        aside.write_text(json.dumps(progress))
        aside.replace(self.progress_path)


def fit(trainable: Trainable, config: TrainingConfig, state: Path) -> dict[str, Any]:
    """Train, or go on training, until the steps or the patience are used up.

    Args:
        trainable: the model with its data; ends up with the best weights (averaged ones where an
            average is kept).
        config: budget and optimiser.
        state: folder that survives a kill: checkpoint, best weights, `metrics.jsonl`.

    Returns:
        {"steps": done, "best_step": int, "best_score": float}.
    """
    run = TrainingRun(trainable, config, state)
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
    load_weights(run.module, run.best_path)
    run.module.eval()
    return {"steps": run.step, "best_step": run.best_step, "best_score": run.best_score}
