"""Stage `score_reconstruction`: how well a trained PhraseVAE keeps phrases of held-out songs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from phrase_models.codec import PhraseCodec
from phrase_models.metrics.reconstruction import (
    PhraseCounts,
    add_counts,
    count_bar,
    score_songs,
)
from phrase_models.tokens import vocabulary
from phrase_models.tokens.units import decode_unit
from phrase_models.vae.autoencoder import through_autoencoder
from phrase_models.vae.phrase_table import SPECIAL_PHRASES
from phrase_models.vae.pretrained import stage_of
from tasks.vae_latents import describe_latents
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
    num_bars = 0
    for song_id, of_bar in units_of_bars(tables_folder, "validation", granularity):
        units += of_bar
        song_ids += [song_id] * len(of_bar)
        num_bars += 1
    figures: dict[str, Any] = {
        "num_phrases": len(units),
        "num_bars": num_bars,
        "num_songs": len(set(song_ids)),
    }
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
    if codec.vae.config.granularity == "phrase":
        figures |= special_accuracy(codec)
    described = describe_latents(
        codec.vae, latents, units, sigmas=config.noise_levels, seed=config.seed
    )
    figures |= described.figures
    log = context.output / "log"
    log.mkdir()
    for name, picture in described.pictures.items():
        (log / name).write_bytes(picture)
        context.tracker.log_file(log / name)
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
