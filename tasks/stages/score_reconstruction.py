"""Stage `score_reconstruction`: how well a trained PhraseVAE keeps phrases of held-out songs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phrase_models.codec import PhraseCodec
from phrase_models.latent_report import describe_latents, describe_paths
from phrase_models.metrics.note_matching import pool
from phrase_models.tokens import vocabulary
from phrase_models.vae.phrase_table import SPECIAL_PHRASES
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import ReconstructionConfig
from tasks.stages.reconstruction_scores import (
    HeldOutUnits,
    count_units,
    held_out_units,
    write_scores,
)

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def score_reconstruction(context: StageContext) -> Mapping[str, Any]:
    """F1 of all held-out units through the model and back, and how normal the latents are."""
    codec = PhraseCodec.load(context.inputs["vae"].folder, "role")
    units = held_out_units(context.inputs["tables"].folder, codec.vae.config.granularity)
    latents = codec.encode_phrases(units.tokens)
    counts = count_units(units.tokens, codec.decode_phrases(latents))
    return write_scores(context, units, counts, latent_scores(context, codec, units, latents))


def latent_scores(
    context: StageContext, codec: PhraseCodec, units: HeldOutUnits, latents: NDArray[np.float32]
) -> dict[str, Any]:
    """F1 in the songs' own keys and with noise on the latents, and figures of the latents."""
    config = context.config_as(ReconstructionConfig)
    transposed = units.in_own_keys
    own_keys = pool(count_units(transposed, codec.reconstruct(transposed)))
    figures: dict[str, Any] = {
        "f1_op_own_keys": own_keys.f1_op,
        "f1_opd_own_keys": own_keys.f1_opd,
    }
    descriptions = [
        describe_latents(
            codec.vae, latents, units.tokens, sigmas=config.noise_levels, seed=config.seed
        )
    ]
    if codec.vae.config.granularity == "phrase":
        figures |= special_accuracy(codec)
        descriptions.append(describe_paths(codec.vae, latents, units.tokens, seed=config.seed))
    log = context.output / "log"
    log.mkdir()
    for described in descriptions:
        figures |= described.figures
        for name, picture in described.pictures.items():
            (log / name).write_bytes(picture)
            context.tracker.log_file(log / name)
    return figures


def special_accuracy(codec: PhraseCodec) -> dict[str, float]:
    """Share of the special phrases that come back as themselves."""
    specials = [list(special) for special in SPECIAL_PHRASES]
    outputs = codec.reconstruct(specials)
    correct = [target == output for target, output in zip(specials, outputs, strict=True)]
    names = [vocabulary.SPECIAL_NAMES[special[0]] for special in specials]
    missed = [name for name, right in zip(names, correct, strict=True) if not right]
    return {"special_accuracy": sum(correct) / len(correct), "num_specials_missed": len(missed)}


STAGE = StageKind(
    name="score_reconstruction",
    body=score_reconstruction,
    reads=("tokenise_songs", "train_vae"),
    experiment="vae",
    scores=True,
)


def reconstruction_stage(config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef) -> Stage:
    """Figures of the trained VAE on held-out songs."""
    scoring = ReconstructionConfig(seed=config.evaluation.seed)
    return STAGE.configured(scoring, {"tables": tables, "vae": vae})
