"""Stage `score_reconstruction`: how well a trained PhraseVAE keeps phrases of held-out songs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phrase_models.codec import PhraseCodec
from phrase_models.latent_report import describe_latents, describe_paths
from phrase_models.metrics.matched_notes import PhraseCounts, count_bar, pool
from phrase_models.tokens import vocabulary
from phrase_models.tokens.units import Granularity, decode_unit, transpose_unit
from phrase_models.vae.autoencoder import through_autoencoder
from phrase_models.vae.config import VAEStage
from phrase_models.vae.phrase_table import SPECIAL_PHRASES
from phrase_models.vae.pretrained import stage_of
from storage import tables
from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.reports.song_counts import add_up_songs, scores_with_intervals, write_song_counts
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import ReconstructionConfig
from tasks.stages.collect_phrases import units_of_bars

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def score_reconstruction(context: StageContext) -> Mapping[str, Any]:
    """F1 of all held-out units through the model and back, and how normal the latents are."""
    folder = context.inputs["vae"].folder
    codec = PhraseCodec.load(folder, "role")
    units = held_out_units(context.inputs["tables"].folder, codec.vae.config.granularity)
    if stage_of(folder) == "autoencoder":
        outputs = through_autoencoder(codec.vae, units.tokens)
        return write_scores(context, units, count_units(units.tokens, outputs), {})
    latents = codec.encode_phrases(units.tokens)
    counts = count_units(units.tokens, codec.decode_phrases(latents))
    return write_scores(context, units, counts, latent_scores(context, codec, units, latents))


@dataclass(frozen=True)
class HeldOutUnits:
    """Units of the validation songs.

    Attributes:
        tokens: token ids of each unit.
        song_ids: the song of each.
        num_bars: bars with notes that they are of.
        key_shifts: semitones by which each song was moved to C major or A minor.
    """

    tokens: list[list[int]]
    song_ids: list[str]
    num_bars: int
    key_shifts: Mapping[str, int]

    @property
    def in_own_keys(self) -> list[list[int]]:
        """The units in the keys of their songs, as a user's own file would have them."""
        return [
            transpose_unit(unit, -self.key_shifts[song_id])
            for unit, song_id in zip(self.tokens, self.song_ids, strict=True)
        ]

    def sizes(self) -> dict[str, Any]:
        """How many units, bars and songs there are."""
        return {
            "num_phrases": len(self.tokens),
            "num_bars": self.num_bars,
            "num_songs": len(set(self.song_ids)),
        }


def held_out_units(tables_folder: Path, granularity: Granularity) -> HeldOutUnits:
    """Every unit of the validation songs, in order."""
    bars = list(units_of_bars(tables_folder, "validation", granularity))
    songs = tables.read_songs(tables_folder / "songs.parquet")
    return HeldOutUnits(
        tokens=[unit for _, units in bars for unit in units],
        song_ids=[song_id for song_id, units in bars for _ in units],
        num_bars=len(bars),
        key_shifts=dict(songs.select("song_id", "key_shift").iter_rows()),
    )


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


def write_scores(
    context: StageContext,
    units: HeldOutUnits,
    counts: Sequence[PhraseCounts],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Write `reconstruction.json`, and the counts of each song, by which models are compared.

    Args:
        context: of the scoring stage.
        units: what was measured.
        counts: of each unit.
        more: further figures.

    Returns:
        All figures.
    """
    song_counts = add_up_songs(zip(units.song_ids, counts, strict=True))
    seed = context.config_as(ReconstructionConfig).seed
    figures = {**units.sizes(), **scores_with_intervals(song_counts, seed), **more}
    (context.output / "reconstruction.json").write_text(json.dumps(figures, indent=1))
    write_song_counts(context.output, song_counts)
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
    outputs = codec.reconstruct(specials)
    correct = [target == output for target, output in zip(specials, outputs, strict=True)]
    names = [vocabulary.SPECIAL_NAMES[special[0]] for special in specials]
    missed = [name for name, right in zip(names, correct, strict=True) if not right]
    return {"special_accuracy": sum(correct) / len(correct), "num_specials_missed": len(missed)}


def reconstruction_stage(
    config: PipelineConfig, tables: ArtifactRef, vae: ArtifactRef, *, stage: VAEStage = "vae"
) -> Stage:
    """Figures of the trained VAE, or of the autoencoder before it, on held-out songs."""
    return Stage(
        name="score_autoencoder" if stage == "autoencoder" else "score_reconstruction",
        config=ReconstructionConfig(seed=config.evaluation.seed),
        inputs={"tables": tables, "vae": vae},
        body=score_reconstruction,
        tracked=True,
    )
