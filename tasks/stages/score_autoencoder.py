"""Stage `score_autoencoder`: held-out phrases through the autoencoder of the second training.

There are no latents yet, so only what comes back is measured (paper table 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import ReconstructionConfig
from tasks.stages.reconstruction_scores import count_units, held_out_units, write_scores

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def score_autoencoder(context: StageContext) -> Mapping[str, Any]:
    """F1 of all held-out units through the outputs of the query tokens and back."""
    from phrase_models.vae.autoencoder import through_autoencoder
    from phrase_models.vae.pretrained import load_vae

    vae = load_vae(context.inputs["vae"].folder)
    units = held_out_units(context.inputs["tables"].folder, vae.config.granularity)
    outputs = through_autoencoder(vae, units.tokens)
    return write_scores(context, units, count_units(units.tokens, outputs), {})


STAGE = StageKind(
    name="score_autoencoder",
    body=score_autoencoder,
    reads=("tokenise_songs", "train_autoencoder"),
    experiment="vae",
    scores=True,
    side=True,
)


def autoencoder_score_stage(
    config: PipelineConfig, tables: ArtifactRef, autoencoder: ArtifactRef
) -> Stage:
    """Figures of the trained autoencoder on held-out songs."""
    scoring = ReconstructionConfig(seed=config.evaluation.seed)
    return STAGE.configured(scoring, {"tables": tables, "vae": autoencoder})
