"""What the scoring stages have in common: units of held-out songs, and the scores of these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phrase_models.metrics.note_matching import (
    PhraseCounts,
    count_bar,
)
from phrase_models.tokens.units import Granularity, decode_unit, transpose_unit
from storage import tables
from tasks.reports.song_counts import add_up_songs, scores_with_intervals, write_song_counts
from tasks.settings.stages import ReconstructionConfig
from tasks.stages.collect_phrases import units_of_bars

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


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
