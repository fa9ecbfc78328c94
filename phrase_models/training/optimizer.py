"""Optimiser and learning-rate schedule by configuration."""

import math

import torch
from torch import nn

from phrase_models.training.config import TrainingConfig


def build_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW over every parameter that requires a gradient.

    Muon was tried on the matrices: a little fewer steps, but each twice as slow on two cores.
    """
    return torch.optim.AdamW(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        betas=(0.9, config.second_moment_decay),
        weight_decay=config.weight_decay,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int) -> None:
    """Set the rate of the update that ends step `step` (from 0)."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * learning_rate_factor(config, step)


def learning_rate_factor(config: TrainingConfig, step: int) -> float:
    """Linear warm-up, then constant or cosine decay to `final_learning_rate`."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "constant":
        return warmup
    progress = min(1.0, step / config.num_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return warmup * (config.final_learning_rate + (1 - config.final_learning_rate) * cosine)
