"""Optimisers and learning-rate schedules by configuration."""

import math

import torch
from torch import nn

from phrase_models.training.config import TrainingConfig


def build_optimizers(module: nn.Module, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the matrices of the layers and AdamW for the rest.

    Every parameter that requires a gradient is in exactly one of them.
    """
    trainable = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    matrices = []
    if config.optimizer == "muon":
        matrices = [p for name, p in trainable if p.ndim == 2 and not _is_table(name)]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in trainable if id(p) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            rest,
            lr=config.learning_rate,
            betas=(0.9, config.second_moment_decay),
            weight_decay=config.weight_decay,
        )
    ]
    if matrices:
        muon = torch.optim.Muon(
            matrices,
            lr=config.matrix_learning_rate,
            weight_decay=config.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        optimizers.append(muon)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_learning_rate"] = group["lr"]
    return optimizers


def _is_table(name: str) -> bool:
    """Embedding tables are looked up, not multiplied: orthogonal updates do not suit them."""
    return "embedding" in name or "bias" in name


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int) -> None:
    """Set the rate of the update that follows step `step` (from 0)."""
    factor = learning_rate_factor(config, step)
    for group in optimizer.param_groups:
        group["lr"] = group["base_learning_rate"] * factor


def learning_rate_factor(config: TrainingConfig, step: int) -> float:
    """Linear warm-up, then constant or cosine decay to `final_learning_rate`."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "constant":
        return warmup
    progress = min(1.0, step / config.num_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return warmup * (config.final_learning_rate + (1 - config.final_learning_rate) * cosine)
