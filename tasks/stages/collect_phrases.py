"""Stage `collect_phrases`: the distinct units that PhraseVAE is trained on, out of the tables.

The trainings read this and not the tables, so a new column of the tables trains nothing again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import polars as pl

from phrase_models.tokens.units import Granularity, split_bar
from storage import tables
from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import EmptyConfig

if TYPE_CHECKING:
    from phrase_models.vae.phrase_table import PhraseTable
    from tasks.engine.stage import StageContext

SPLITS = ("train", "validation")


def collect_phrases(context: StageContext) -> Mapping[str, Any]:
    """Distinct phrases, bars and positions of each split, with their counts."""
    from phrase_models.vae.phrase_table import unit_table_path

    tables_folder = context.inputs["tables"].folder
    sizes: dict[str, int] = {}
    for split in SPLITS:
        for granularity in get_args(Granularity):
            table = unit_table(tables_folder, split, granularity)
            table.save(unit_table_path(context.output, granularity, split))
            sizes[f"num_{granularity}_{split}"] = len(table)
    return sizes


def unit_table(tables_folder: Path, split: str, granularity: Granularity) -> PhraseTable:
    """Distinct units of a split with their counts.

    Special phrases join where a unit is a phrase, each as often as there are bars.
    """
    from phrase_models.vae.phrase_table import SPECIAL_PHRASES, PhraseTable

    counts: dict[tuple[int, ...], int] = {}
    for _, units in units_of_bars(tables_folder, split, granularity):
        for unit in units:
            counts[tuple(unit)] = counts.get(tuple(unit), 0) + 1
    if granularity == "phrase":
        bars = tables.read_bars(tables_folder / "bars.parquet")
        num_bars = max(1, bars.filter(pl.col("split") == split).height)
        counts |= dict.fromkeys(SPECIAL_PHRASES, num_bars)
    return PhraseTable.from_counts(counts)


def units_of_bars(
    tables_folder: Path, split: str, granularity: Granularity
) -> Iterator[tuple[str, list[list[int]]]]:
    """Song id and units of every bar of a split that has notes, in order."""
    frame = tables.read_phrases(tables_folder / "phrases.parquet").filter(pl.col("split") == split)
    bars = frame.group_by("song_id", "bar_index", maintain_order=True).agg("token_ids")
    for song_id, phrases in zip(bars["song_id"], bars["token_ids"].to_list(), strict=True):
        yield song_id, split_bar(phrases, granularity)


STAGE = StageKind(name="collect_phrases", body=collect_phrases, reads=("tokenise_songs",))


def phrases_stage(tables: ArtifactRef) -> Stage:
    """What the VAE is trained on; unchanged phrases leave the trainings as they are."""
    return STAGE.configured(EmptyConfig(), {"tables": tables})
