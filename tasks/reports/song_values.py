"""What was measured of each song, so that rows of a table can be paired by the songs' plans."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phrase_models.metrics.evaluated_song import EvaluatedSong
from phrase_models.metrics.paired import paired_ratio
from phrase_models.metrics.result import MetricResult
from phrase_models.score.song import format_section_layout

SONG_VALUES = "song_values.json"
"""File of `evaluate_songs`."""
RESAMPLES = "resamples.json"
"""Another one: resampled values of what is measured of all generated songs together."""


@dataclass(frozen=True)
class SongValues:
    """Values of N songs.

    Attributes:
        song_ids: N.
        layouts: sections each song has or was asked for, such as "i4 A8 B8"; "" without any.
        values: metric name to `(N,)`, nan where undefined.
    """

    song_ids: tuple[str, ...]
    layouts: tuple[str, ...]
    values: Mapping[str, np.ndarray]

    @classmethod
    def of_songs(
        cls, items: Sequence[EvaluatedSong], values: Mapping[str, np.ndarray]
    ) -> SongValues:
        """Of songs that were measured in this order."""
        return cls(
            tuple(item.song.song_id for item in items),
            tuple(format_section_layout(item.plan or ()) for item in items),
            values,
        )


def paired_by_plan(name: str, ours: SongValues, real: SongValues, *, seed: int = 0) -> MetricResult:
    """Mean of our songs over that of the real songs with the same sections, over whole pairs.

    Where several real songs have the sections of one of ours, it is paired with their mean.
    Undefined where no real song has the sections of any.
    """
    return paired_ratio(name, ours.values[name], values_of_plans(name, ours, real), seed=seed)


def values_of_plans(name: str, ours: SongValues, real: SongValues) -> np.ndarray:
    """Mean value of the real songs with the sections of each of ours, `(N,)`; nan without any."""
    by_layout: dict[str, list[float]] = {}
    for layout, value in zip(real.layouts, real.values[name].tolist(), strict=True):
        if layout and not math.isnan(value):
            by_layout.setdefault(layout, []).append(value)
    partners = [
        float(np.mean(by_layout[layout])) if layout in by_layout else math.nan
        for layout in ours.layouts
    ]
    return np.array(partners, np.float64)


def write_song_values(folder: Path, columns: Mapping[str, SongValues]) -> None:
    """Into the output of `evaluate_songs`; undefined values become null."""
    table = {
        column: {
            "song_ids": songs.song_ids,
            "layouts": songs.layouts,
            "values": {
                name: [None if math.isnan(value) else value for value in values.tolist()]
                for name, values in songs.values.items()
            },
        }
        for column, songs in columns.items()
    }
    (folder / SONG_VALUES).write_text(json.dumps(table))


def song_values_of(table: Mapping[str, Any]) -> dict[str, SongValues]:
    """From what `write_song_values` wrote."""
    return {
        column: SongValues(
            tuple(songs["song_ids"]),
            tuple(songs["layouts"]),
            {name: np.array(values, np.float64) for name, values in songs["values"].items()},
        )
        for column, songs in table.items()
    }


def write_resamples(folder: Path, results: Sequence[MetricResult]) -> None:
    """Into the output of `evaluate_songs`; undefined values become null."""
    table = {
        result.name: [None if math.isnan(value) else value for value in result.resamples]
        for result in results
        if result.resamples
    }
    (folder / RESAMPLES).write_text(json.dumps(table))


def resamples_of(table: Mapping[str, Sequence[float | None]]) -> dict[str, tuple[float, ...]]:
    """From what `write_resamples` wrote."""
    return {
        name: tuple(math.nan if value is None else value for value in values)
        for name, values in table.items()
    }
