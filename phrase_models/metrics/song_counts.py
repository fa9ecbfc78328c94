"""Notes of held-out songs that came back: what scores are made of, and models compared by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from phrase_models.metrics.note_matching import PhraseCounts, add_counts
from phrase_models.metrics.reconstruction import score_songs

SONG_COUNTS = "song_counts.json"
"""File of a scoring stage."""


def add_up_songs(counts: Iterable[tuple[str, PhraseCounts]]) -> dict[str, PhraseCounts]:
    """Counts of units, each with the id of its song -> counts of each song, in order."""
    by_song: dict[str, list[PhraseCounts]] = {}
    for song_id, count in counts:
        by_song.setdefault(song_id, []).append(count)
    return {song_id: add_counts(units) for song_id, units in by_song.items()}


def scores_with_intervals(song_counts: Mapping[str, PhraseCounts], seed: int = 0) -> dict[str, Any]:
    """Pooled scores of songs, with their intervals over songs as "..._interval"."""
    figures: dict[str, Any] = {}
    for result in score_songs(list(song_counts.values()), seed=seed):
        if result.name != "special_accuracy":  # no special phrase is among the units
            figures[result.name] = result.value
            figures[f"{result.name}_interval"] = [result.low, result.high]
    return figures


def write_song_counts(folder: Path, song_counts: Mapping[str, PhraseCounts]) -> None:
    """Into the output of a scoring stage."""
    table = {song_id: asdict(counts) for song_id, counts in song_counts.items()}
    (folder / SONG_COUNTS).write_text(json.dumps(table, indent=1))


def song_counts_of(table: Mapping[str, Mapping[str, int]]) -> dict[str, PhraseCounts]:
    """From what `write_song_counts` wrote."""
    return {song_id: PhraseCounts(**counts) for song_id, counts in table.items()}
