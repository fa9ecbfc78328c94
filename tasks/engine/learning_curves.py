"""The learning curves that a training left, kept with the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from phrase_models.plots import figure_png, learning_curves
from tasks.engine.metrics_lines import read_metrics

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def save_curves(context: StageContext) -> dict[str, float]:
    """Keep the learning curves with the model and return the figures of the best step.

    Where lines were lost to damage, the curves are those of the lines that are left.
    """
    records = read_metrics(context.state / "metrics.jsonl")
    log = context.output / "log"
    log.mkdir(exist_ok=True)
    (log / "metrics.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    picture = figure_png(learning_curves([{"step": r["step"], **r["values"]} for r in records]))
    (log / "learning_curves.png").write_bytes(picture)
    context.tracker.log_file(log / "learning_curves.png")
    scored = [r["values"] for r in records if "validation/score" in r["values"]]
    best: dict[str, float] = min(scored, key=lambda values: values["validation/score"], default={})
    return {name.removeprefix("validation/"): value for name, value in best.items()}
