"""Stage `score_reconstruction`: how well a trained PhraseVAE keeps phrases of held-out songs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from phrase_models.codec import PhraseCodec
from phrase_models.metrics.reconstruction import (
    PhraseCounts,
    add_counts,
    count_bar,
    pool,
    score_songs,
)
from phrase_models.plots import figure_png, latent_pca
from phrase_models.tokens import vocabulary
from phrase_models.tokens.units import decode_unit
from phrase_models.vae.autoencoder import through_autoencoder
from phrase_models.vae.phrase_table import SPECIAL_PHRASES
from phrase_models.vae.pretrained import stage_of
from tasks.vae_tables import units_of_bars

if TYPE_CHECKING:
    from tasks.stage import StageContext


class ReconstructionConfig(BaseModel):
    """What decides the figures of a trained VAE."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_levels: tuple[float, ...] = (0.1, 0.2, 0.3)
    seed: int = 0


def score_reconstruction(context: StageContext) -> Mapping[str, Any]:
    """F1 of all held-out units through the model and back, and how normal the latents are."""
    config = context.config_as(ReconstructionConfig)
    folder = context.inputs["vae"].folder
    codec = PhraseCodec.load(folder, "role")
    granularity = codec.vae.config.granularity
    song_ids: list[str] = []
    units: list[list[int]] = []
    tables_folder = context.inputs["tables"].folder
    for song_id, of_bar in units_of_bars(tables_folder, "validation", granularity):
        units += of_bar
        song_ids += [song_id] * len(of_bar)
    figures: dict[str, Any] = {"num_phrases": len(units), "num_songs": len(set(song_ids))}
    if stage_of(folder) == "autoencoder":
        outputs = through_autoencoder(codec.vae, units)
        figures |= scores_with_intervals(song_ids, units, outputs, config.seed)
    else:
        figures |= latent_scores(context, codec, song_ids, units, config)
    (context.output / "reconstruction.json").write_text(json.dumps(figures, indent=1))
    return figures


def latent_scores(
    context: StageContext,
    codec: PhraseCodec,
    song_ids: list[str],
    units: list[list[int]],
    config: ReconstructionConfig,
) -> dict[str, Any]:
    """F1 through the latents, bare and with noise on them, and figures of the latents."""
    latents = codec.encode_phrases(units)
    figures = scores_with_intervals(song_ids, units, codec.decode_phrases(latents), config.seed)
    rng = np.random.default_rng(config.seed)
    for level in config.noise_levels:
        noisy = latents + level * rng.standard_normal(latents.shape).astype(np.float32)
        scores = pool(count_units(units, codec.decode_phrases(noisy)))
        figures |= {
            f"f1_op_noise_{level:g}": scores.f1_op,
            f"f1_opd_noise_{level:g}": scores.f1_opd,
        }
    if codec.vae.config.granularity == "phrase":
        figures |= special_accuracy(codec)
    figures |= latent_figures(latents)
    programs = np.array([unit[0] - vocabulary.FIRST_PROGRAM for unit in units])
    (context.output / "log").mkdir()
    path = context.output / "log" / "latent_pca.png"
    path.write_bytes(figure_png(latent_pca(latents, programs)))
    context.tracker.log_file(path)
    return figures


def scores_with_intervals(
    song_ids: list[str], units: list[list[int]], outputs: list[list[int]], seed: int
) -> dict[str, Any]:
    """Pooled scores of held-out units with their intervals over songs."""
    by_song: dict[str, list[PhraseCounts]] = {}
    for song_id, count in zip(song_ids, count_units(units, outputs), strict=True):
        by_song.setdefault(song_id, []).append(count)
    figures: dict[str, Any] = {}
    for result in score_songs([add_counts(counts) for counts in by_song.values()], seed=seed):
        if result.name != "special_accuracy":  # no special phrase is among the units
            figures[result.name] = result.value
            figures[f"{result.name}_interval"] = [result.low, result.high]
    return figures


def count_units(units: list[list[int]], outputs: list[list[int]]) -> list[PhraseCounts]:
    """Matched notes of every unit."""
    return [
        count_bar(decode_unit(unit), decode_unit(output))
        for unit, output in zip(units, outputs, strict=True)
    ]


def special_accuracy(codec: PhraseCodec) -> dict[str, float]:
    """Share of the special phrases that come back as themselves."""
    specials = [list(special) for special in SPECIAL_PHRASES]
    outputs = codec.decode_phrases(codec.encode_phrases(specials))
    correct = [target == output for target, output in zip(specials, outputs, strict=True)]
    names = [vocabulary.SPECIAL_NAMES[special[0]] for special in specials]
    missed = [name for name, right in zip(names, correct, strict=True) if not right]
    return {"special_accuracy": sum(correct) / len(correct), "num_specials_missed": len(missed)}


def latent_figures(latents: NDArray[np.float32]) -> dict[str, float]:
    """How near the latents (N, D) are to a standard normal."""
    deviations = latents.std(0)
    correlation = np.atleast_2d(np.corrcoef(latents.T.astype(np.float64)))
    off_diagonal = correlation[np.triu_indices(len(correlation), k=1)]
    return {
        "latent_mean_abs": float(np.abs(latents.mean(0)).mean()),
        "latent_std_mean": float(deviations.mean()),
        "latent_std_min": float(deviations.min()),
        "latent_std_max": float(deviations.max()),
        "latent_active_dims": int((deviations > 0.1).sum()),
        "latent_correlation_rms": float(np.sqrt(np.nanmean(np.square(off_diagonal)))),
    }
