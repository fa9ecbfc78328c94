"""The training that tests of the loop and of its checkpoints share."""

import torch
from torch import Tensor, nn

from phrase_models.training.randomness import seed_everything


class Stopped(Exception):
    """Stands for a kill."""


class Regression:
    """A small net with dropout and noise, so that random state matters."""

    def __init__(self, stop_at: int | None = None) -> None:
        seed_everything("net")
        self.module = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.3), nn.Linear(16, 1))
        self.stop_at = stop_at

    def batch(self, step: int) -> Tensor:
        if step == self.stop_at:
            raise Stopped
        return torch.randn(8, 4)

    def loss(self, batch: Tensor, rows: slice) -> dict[str, Tensor]:
        inputs = batch[rows]
        errors = (self.module(inputs)[:, 0] - inputs.sum(1)).square()
        return {"loss": errors.mean() * (len(inputs) / len(batch))}

    def validate(self) -> dict[str, float]:
        inputs = torch.linspace(-1, 1, 32).reshape(8, 4)
        error = (self.module(inputs)[:, 0] - inputs.sum(1)).square().mean()
        return {"score": float(error)}
