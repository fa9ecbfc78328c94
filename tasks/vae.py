"""Stages `train_infilling`, `train_autoencoder` and `train_vae`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from phrase_models.plots import figure_png, learning_curves
from phrase_models.training.config import TrainingConfig
from phrase_models.vae.config import VAEConfig, VAEStage, VAEStageConfig
from tasks.subprocess_training import run_training
from tasks.vae_tables import unit_table_path

if TYPE_CHECKING:
    from tasks.stage import StageContext


class VAETrainingStage(BaseModel):
    """What decides the weights of one stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: VAEStage
    architecture: VAEConfig
    objective: VAEStageConfig
    training: TrainingConfig


def train_vae_stage(context: StageContext) -> Mapping[str, Any]:
    """Train one of the three stages in a process of its own, from the stage before it."""
    config = context.config_as(VAETrainingStage)
    folder, granularity = context.inputs["phrases"].folder, config.architecture.granularity
    previous = context.inputs.get("start_from")
    with_bars = config.objective.bar_share > 0 and granularity == "phrase"
    result = run_training(
        context,
        {
            "kind": "vae",
            "stage": config.stage,
            "architecture": config.architecture.model_dump(),
            "objective": config.objective.model_dump(),
            "training": config.training.model_dump(),
            "train": str(unit_table_path(folder, granularity, "train")),
            "validation": str(unit_table_path(folder, granularity, "validation")),
            "bars": str(unit_table_path(folder, "bar", "train")) if with_bars else None,
            "start_from": str(previous.folder) if previous else None,
        },
    )
    figures = save_curves(context)
    return {**result, **figures}


def save_curves(context: StageContext) -> dict[str, float]:
    """Keep the learning curves with the model and return the figures of the best step."""
    lines = (context.state / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    log = context.output / "log"
    log.mkdir(exist_ok=True)
    (log / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    picture = figure_png(learning_curves([{"step": r["step"], **r["values"]} for r in records]))
    (log / "learning_curves.png").write_bytes(picture)
    context.tracker.log_file(log / "learning_curves.png")
    scored = [r["values"] for r in records if "validation/score" in r["values"]]
    best = min(scored, key=lambda values: values["validation/score"])
    return {name.removeprefix("validation/"): value for name, value in best.items()}
