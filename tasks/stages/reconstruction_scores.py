"""What the scoring stages have in common: units of held-out songs, and the scores of these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phrase_models.metrics.note_matching import PhraseCounts, count_bar, pool
from phrase_models.metrics.song_counts import add_up_songs, scores_with_intervals, write_song_counts
from phrase_models.score.song import ROLE_NAMES
from phrase_models.tokens import vocabulary
from phrase_models.tokens.units import Granularity, decode_unit, transpose_unit
from storage import tables
from tasks.settings.stages import ReconstructionConfig
from tasks.stages.collect_phrases import units_of_bars

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

LENGTH_CLASSES = (1, 5, 9, 13)
"""Number of notes at which each class of lengths begins."""


@dataclass(frozen=True)
class HeldOutUnits:
    """Units of the validation songs.

    Attributes:
        tokens: token ids of each unit.
        song_ids: the song of each.
        num_bars: bars with notes that they are of.
        key_shifts: semitones by which each song was moved to C major or A minor.
        granularity: what a unit is.
    """

    tokens: list[list[int]]
    song_ids: list[str]
    num_bars: int
    key_shifts: Mapping[str, int]
    granularity: Granularity

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
        granularity=granularity,
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


def scores_of_way(
    units: HeldOutUnits, counts: Sequence[PhraseCounts], way: str, seed: int
) -> dict[str, Any]:
    """Scores with their intervals of another way through a model: `f1_op_<way>` and so on.

    Args:
        units: what was measured.
        counts: of each unit.
        way: a word for it.
        seed: of the intervals.
    """
    song_counts = add_up_songs(zip(units.song_ids, counts, strict=True))
    figures: dict[str, Any] = {}
    for name, value in scores_with_intervals(song_counts, seed).items():
        score = name.removesuffix("_interval")
        figures[f"{score}_{way}{name.removeprefix(score)}"] = value
    return figures


def break_down(
    units: HeldOutUnits, ways: Mapping[str, Sequence[PhraseCounts]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of every way by number of notes and, where units are phrases, by instrument.

    Args:
        units: what was measured.
        ways: counts of each unit, by a word for the way; "" for the encoder alone.

    Returns:
        `by_num_notes` and `by_instrument`: of each class `num_phrases`, and `f1_op`, `f1_opd` and
        `exact_phrase_rate`, with `_<way>` at the end for each way that has a word.
    """
    lengths = [
        length_class(sum(token >= vocabulary.FIRST_DURATION for token in unit))
        for unit in units.tokens
    ]
    classes = {"by_num_notes": lengths}
    if units.granularity == "phrase":
        programs = [unit[0] - vocabulary.FIRST_PROGRAM for unit in units.tokens]
        classes["by_instrument"] = [
            ROLE_NAMES.get(program, f"program {program}").lower() for program in programs
        ]
    return {name: _scores_by_class(members, ways) for name, members in classes.items()}


def length_class(num_notes: int) -> str:
    """The class of LENGTH_CLASSES that a phrase belongs to, as "5-8" or "13+"."""
    for first, last in pairwise(LENGTH_CLASSES):
        if num_notes < last:
            return f"{first}-{last - 1}"
    return f"{LENGTH_CLASSES[-1]}+"


def _scores_by_class(
    members: Sequence[str], ways: Mapping[str, Sequence[PhraseCounts]]
) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for name in sorted(set(members), key=class_order):
        table[name] = {"num_phrases": members.count(name)}
        for way, counts in ways.items():
            suffix = f"_{way}" if way else ""
            rows = zip(members, counts, strict=True)
            scores = pool(count for member, count in rows if member == name)
            table[name] |= {
                f"{score}{suffix}": getattr(scores, score)
                for score in ("f1_op", "f1_opd", "exact_phrase_rate")
            }
    return table


def class_order(name: str) -> tuple[int, str]:
    """Key that sorts classes by the number they begin with, else by name."""
    digits = name.rstrip("+").partition("-")[0]
    return (int(digits) if digits.isdigit() else 0, name)


def count_units(units: list[list[int]], outputs: list[list[int]]) -> list[PhraseCounts]:
    """Matched notes of every unit."""
    return [
        count_bar(decode_unit(unit), decode_unit(output))
        for unit, output in zip(units, outputs, strict=True)
    ]
