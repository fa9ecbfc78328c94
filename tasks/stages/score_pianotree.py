"""Stage `score_pianotree`: figures of the baseline on held-out songs (paper table 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.baselines.pianotree.grid import flatten_bar
from phrase_models.metrics.note_matching import count_phrase
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import ReconstructionConfig
from tasks.stages.reconstruction_scores import held_out_units, write_scores

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def score_pianotree(context: StageContext) -> Mapping[str, Any]:
    """F1 of all held-out bars, flattened to one instrument, through the model and back."""
    from phrase_models.baselines.pianotree.training import load_pianotree, reconstruct_bars

    units = held_out_units(context.inputs["tables"].folder, "bar")
    vae = load_pianotree(context.inputs["vae"].folder)
    outputs = reconstruct_bars(vae, units.tokens)
    counts = [
        count_phrase(flatten_bar(bar), output)
        for bar, output in zip(units.tokens, outputs, strict=True)
    ]
    return write_scores(context, units, counts, {})


STAGE = StageKind(
    name="score_pianotree",
    body=score_pianotree,
    reads=("tokenise_songs", "train_pianotree"),
    experiment="vae",
    scores=True,
    side=True,
)


def pianotree_score_stage(config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef) -> Stage:
    """Figures of the baseline on held-out songs."""
    scoring = ReconstructionConfig(seed=config.evaluation.seed)
    return STAGE.configured(scoring, {"tables": tables, "vae": vae})
