"""Stage `score_reconstruction`: how well a trained PhraseVAE keeps phrases of held-out songs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from phrase_models.codec import PhraseCodec
from phrase_models.metrics.reconstruction import (
    PhraseCounts,
    add_counts,
    count_phrase,
    pool,
    score_songs,
)
from phrase_models.plots import figure_png, latent_pca
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import decode
from phrase_models.vae.phrase_table import SPECIAL_PHRASES
from storage import tables

if TYPE_CHECKING:
    from tasks.stage import StageContext


class ReconstructionConfig(BaseModel):
    """What decides the figures of a trained VAE."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_levels: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3)
    seed: int = 0


def score_reconstruction(context: StageContext) -> Mapping[str, Any]:
    """F1 of all held-out phrases through the VAE and back, and how normal the latents are."""
    config = context.config
    if not isinstance(config, ReconstructionConfig):
        message = f"score_reconstruction needs a ReconstructionConfig, not {type(config).__name__}"
        raise TypeError(message)
    codec = PhraseCodec.load(context.inputs["vae"].folder, "role")
    frame = tables.read_phrases(context.inputs["tables"].folder / "phrases.parquet")
    frame = frame.filter(pl.col("split") == "validation")
    phrases, song_ids = frame["token_ids"].to_list(), frame["song_id"].to_list()
    latents = codec.encode_phrases(phrases)
    rng = np.random.default_rng(config.seed)
    figures: dict[str, Any] = {"num_phrases": len(phrases), "num_songs": len(set(song_ids))}
    for level in config.noise_levels:
        noisy = latents + level * rng.standard_normal(latents.shape).astype(np.float32)
        outputs = codec.decode_phrases(noisy)
        counts = count_by_song(song_ids, phrases, outputs)
        songs = [add_counts(items) for items in counts.values()]
        if level:
            scores = pool(songs)
            figures |= {
                f"f1_op_noise_{level:g}": scores.f1_op,
                f"f1_opd_noise_{level:g}": scores.f1_opd,
            }
            continue
        for result in score_songs(songs, seed=config.seed):
            if result.name != "special_accuracy":  # measured apart, below
                figures[result.name] = result.value
                figures[f"{result.name}_interval"] = [result.low, result.high]
    figures |= special_accuracy(codec)
    figures |= latent_figures(latents)
    (context.output / "reconstruction.json").write_text(json.dumps(figures, indent=1))
    picture = figure_png(latent_pca(latents, np.asarray(frame["program"].to_list())))
    (context.output / "log").mkdir()
    (context.output / "log" / "latent_pca.png").write_bytes(picture)
    context.tracker.log_file(context.output / "log" / "latent_pca.png")
    return figures


def count_by_song(
    song_ids: list[str], phrases: list[list[int]], outputs: list[list[int]]
) -> dict[str, list[PhraseCounts]]:
    """Matched notes of every phrase, grouped by song."""
    counts: dict[str, list[PhraseCounts]] = {}
    for song_id, phrase, output in zip(song_ids, phrases, outputs, strict=True):
        count = count_phrase(decode(phrase)[0], decode(output)[0])
        counts.setdefault(song_id, []).append(count)
    return counts


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
