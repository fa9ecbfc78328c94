"""Stage `score_reconstruction`: how well a trained PhraseVAE keeps phrases of held-out songs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phrase_models.metrics.note_matching import PhraseCounts, pool
from phrase_models.tokens import vocabulary
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import ReconstructionConfig
from tasks.stages.reconstruction_scores import (
    HeldOutUnits,
    break_down,
    count_units,
    held_out_units,
    scores_of_way,
    write_scores,
)

if TYPE_CHECKING:
    from phrase_models.codec import PhraseCodec
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def score_reconstruction(context: StageContext) -> Mapping[str, Any]:
    """F1 of all held-out units through the model and back, and how normal the latents are.

    The plain names are those of the encoder alone, and of the VAE before its decoder was tuned;
    beside them stand the same with `_refined`, `_tuned` and `_tuned_refined`.
    """
    from phrase_models.codec import PhraseCodec

    config = context.config_as(ReconstructionConfig)
    codec = PhraseCodec.load(context.inputs["vae"].folder, "role")
    units = held_out_units(context.inputs["tables"].folder, codec.vae.config.granularity)
    latents = codec.encode_phrases(units.tokens)
    ways = {"": count_units(units.tokens, codec.decode_phrases(latents))}
    figures = latent_scores(context, codec, units, latents)
    seconds = add_refined(ways, figures, codec, units, config)
    tuned = context.inputs.get("tuned")
    if tuned is not None:
        tuned_codec = PhraseCodec.load(tuned.folder, "role")
        ways["tuned"] = count_units(units.tokens, tuned_codec.decode_phrases(latents))
        seconds |= add_refined(ways, figures, tuned_codec, units, config, way="tuned_refined")
        figures |= noise_scores(tuned_codec, units, latents, config)
    for way, counts in ways.items():
        if way:
            figures |= scores_of_way(units, counts, way, config.seed)
    figures |= break_down(units, ways)
    (context.output / "log" / "seconds.json").write_text(json.dumps(seconds, indent=1))
    return {**write_scores(context, units, ways[""], figures), **seconds}


def add_refined(
    ways: dict[str, list[PhraseCounts]],
    figures: dict[str, Any],
    codec: PhraseCodec,
    units: HeldOutUnits,
    config: ReconstructionConfig,
    *,
    way: str = "refined",
) -> dict[str, float]:
    """Measure refined latents, where refinement is configured, as one more way.

    Returns:
        Seconds a song that they took: no result of the stage, for they are never the same.
    """
    if config.refinement is None:
        return {}
    started = time.perf_counter()
    refined = codec.encode_refined(units.tokens, config.refinement)
    seconds = (time.perf_counter() - started) / max(1, len(set(units.song_ids)))
    ways[way] = count_units(units.tokens, refined.outputs)
    figures |= {
        f"num_distinct_{way}": refined.num_phrases,
        f"num_tried_{way}": refined.num_refined,
        f"num_improved_{way}": refined.num_improved,
        f"moved_{way}": refined.moved,
    }
    return {f"seconds_per_song_{way}": seconds}


def noise_scores(
    codec: PhraseCodec,
    units: HeldOutUnits,
    latents: NDArray[np.float32],
    config: ReconstructionConfig,
) -> dict[str, float]:
    """F1 under noise of the tuned decoder, by the names that `describe_latents` gives it."""
    from phrase_models.vae.latent_noise import f1_under_noise

    noisy = f1_under_noise(codec.vae, latents, units.tokens, config.noise_levels, config.seed)
    figures: dict[str, float] = {}
    for sigma, scores in zip(config.noise_levels, noisy, strict=True):
        figures[f"f1_op_relative_noise_{sigma:g}_tuned"] = scores.f1_op
        figures[f"f1_opd_relative_noise_{sigma:g}_tuned"] = scores.f1_opd
    return figures


def latent_scores(
    context: StageContext, codec: PhraseCodec, units: HeldOutUnits, latents: NDArray[np.float32]
) -> dict[str, Any]:
    """F1 in the songs' own keys and with noise on the latents, and figures of the latents."""
    from phrase_models.latent_report import describe_latents, describe_paths

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
    from phrase_models.vae.phrase_table import SPECIAL_PHRASES

    specials = [list(special) for special in SPECIAL_PHRASES]
    outputs = codec.reconstruct(specials)
    correct = [target == output for target, output in zip(specials, outputs, strict=True)]
    names = [vocabulary.SPECIAL_NAMES[special[0]] for special in specials]
    missed = [name for name, right in zip(names, correct, strict=True) if not right]
    return {"special_accuracy": sum(correct) / len(correct), "num_specials_missed": len(missed)}


STAGE = StageKind(
    name="score_reconstruction",
    body=score_reconstruction,
    reads=("tokenise_songs", "train_vae", "tune_decoder"),
    experiment="vae",
    scores=True,
)


def reconstruction_stage(
    config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef, tuned: ArtifactRef | None
) -> Stage:
    """Figures of the trained VAE on held-out songs, and of the same with a tuned decoder."""
    scoring = ReconstructionConfig(
        seed=config.evaluation.seed, refinement=config.latents.refinement
    )
    inputs = {"tables": tables, "vae": vae} | ({"tuned": tuned} if tuned else {})
    return STAGE.configured(scoring, inputs)
