"""The phrases that PhraseVAE is trained on, out of the tables of a corpus."""

from pathlib import Path

import polars as pl

from phrase_models.vae.phrase_table import SPECIAL_PHRASES, PhraseTable
from storage import tables


def phrase_table(tables_folder: Path, split: str, *, bar_share: float) -> PhraseTable:
    """Distinct phrases of a split with their counts, special phrases among them.

    Args:
        tables_folder: artifact of `tokenise_songs`.
        split: "train" or "validation".
        bar_share: where above 0, distinct whole bars join, weighted to this share of all counts.
    """
    frame = tables.read_phrases(tables_folder / "phrases.parquet").filter(pl.col("split") == split)
    bars = tables.read_bars(tables_folder / "bars.parquet").filter(pl.col("split") == split)
    counts: dict[tuple[int, ...], int] = {}
    for phrase in frame["token_ids"].to_list():
        counts[tuple(phrase)] = counts.get(tuple(phrase), 0) + 1
    if bar_share:
        whole = frame.group_by("song_id", "bar_index", maintain_order=True).agg("token_ids")
        for phrases in whole["token_ids"].to_list():
            bar = tuple(token for phrase in phrases for token in phrase)
            counts[bar] = counts.get(bar, 0) + 1
    num_bars = max(1, bars.height)
    for special in SPECIAL_PHRASES:
        counts[special] = num_bars
    return PhraseTable.from_counts(counts)
