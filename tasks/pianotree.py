"""Stages `train_pianotree` and `score_pianotree`: the baseline on whole bars (paper table 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from phrase_models.metrics.reconstruction import count_phrase
from phrase_models.training.config import TrainingConfig
from phrase_models.vae.pianotree import PianoTreeConfig, PianoTreeObjective
from phrase_models.vae.pianotree_grid import flatten_bar
from phrase_models.vae.pianotree_training import load_pianotree, reconstruct_bars
from tasks.subprocess_training import run_training
from tasks.vae import save_curves
from tasks.vae_figures import held_out_units, write_scores
from tasks.vae_tables import unit_table_path

if TYPE_CHECKING:
    from tasks.stage import StageContext


class PianoTreeSettings(BaseModel):
    """What decides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: PianoTreeConfig
    objective: PianoTreeObjective
    training: TrainingConfig


def train_pianotree(context: StageContext) -> Mapping[str, Any]:
    """Train PianoTree VAE on the bars of the corpus, in a process of its own."""
    config = context.config_as(PianoTreeSettings)
    folder = context.inputs["phrases"].folder
    result = run_training(
        context,
        {
            "kind": "pianotree",
            "architecture": config.architecture.model_dump(),
            "objective": config.objective.model_dump(),
            "training": config.training.model_dump(),
            "train": str(unit_table_path(folder, "bar", "train")),
            "validation": str(unit_table_path(folder, "bar", "validation")),
        },
    )
    return {**result, **save_curves(context)}


def score_pianotree(context: StageContext) -> Mapping[str, Any]:
    """F1 of all held-out bars, flattened to one instrument, through the model and back."""
    units = held_out_units(context.inputs["tables"].folder, "bar")
    vae = load_pianotree(context.inputs["vae"].folder)
    outputs = reconstruct_bars(vae, units.tokens)
    counts = [
        count_phrase(flatten_bar(bar), output)
        for bar, output in zip(units.tokens, outputs, strict=True)
    ]
    return write_scores(context, units, counts, {})
