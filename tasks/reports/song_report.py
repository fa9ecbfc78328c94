"""Table 5: songs of every origin beside real ones, as far as a store has measured them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.metrics.result import MetricResult
from tasks.reports.report_tables import NOT_RUN, ReportTable
from tasks.reports.song_evaluations import SongEvaluation
from tasks.reports.song_values import paired_by_plan

TITLE = "Table 5: whole songs beside real ones"
GIVEN_AWAY_TITLE = "What gives the songs of table 5 away, by a classifier of song features"
LARGE_LATENT_DIM = 128
THRESHOLDS = (50, 70, 90)
NOTE = (
    "Means over songs with 95 % intervals over songs. Note SRS: recurrence of sections from the "
    "notes, bars alike above .5, .7 and .9; the ratio is that to the real songs of the same "
    "sections, in pairs, where the training songs shown have them. Features and PhraseFID: "
    "Fréchet distances to other training songs, beside those of real training songs to the same. "
    "MR invariant: share of songs that quote a training melody, in any key, tempo, place or track, "
    "more than held-out songs do by chance. AUC: how well a classifier tells the songs from other "
    "training songs, .5 by chance; the rows of real songs are its control."
)


@dataclass(frozen=True)
class MetricColumn:
    """A column with one metric: its heading, the metric, and whether it is a share in percent."""

    heading: str
    metric: str
    is_share: bool = False


@dataclass(frozen=True)
class DistanceColumn:
    """A column with a distance beside that of real songs."""

    heading: str
    metric: str


COLUMNS: tuple[MetricColumn | DistanceColumn, ...] = (
    DistanceColumn("features / real to real", "feature_frechet"),
    DistanceColumn("PhraseFID / real to real", "phrase_fid"),
    MetricColumn("in scale", "in_scale_rate", is_share=True),
    MetricColumn("notes a bar", "note_density"),
    MetricColumn("polyphony", "polyphony"),
    MetricColumn("groove", "groove_consistency"),
    MetricColumn("distinct bars", "distinct_bar_rate", is_share=True),
    MetricColumn("boundary F1", "boundary_f1"),
    MetricColumn("same-label similarity", "same_label_similarity_notes"),
    MetricColumn("MR invariant", "mr_invariant", is_share=True),
)
LAST_COLUMNS = (
    MetricColumn("failures", "failures", is_share=True),
    MetricColumn("AUC songs", "two_sample_auc_songs"),
    MetricColumn("AUC bars", "two_sample_auc_bars"),
)
HEADER = (
    "songs",
    "number",
    *(f"note SRS .{threshold // 10}" for threshold in THRESHOLDS),
    "paired with real: .5 / .7 / .9",
    *(column.heading for column in COLUMNS),
    "longest quotation, notes",
    *(column.heading for column in LAST_COLUMNS),
)


@dataclass(frozen=True)
class SongRow:
    """A row: its label, and which evaluations are the row's."""

    label: str
    matches: Callable[[SongEvaluation], bool]


def _is_model(item: SongEvaluation) -> bool:
    return item.denoiser is not None


@cache
def _paper_denoiser() -> DenoiserConfig:
    from tasks.settings.presets import load_preset

    return load_preset("paper").denoiser


def _is_paper(item: SongEvaluation) -> bool:
    return _is_model(item) and item.denoiser == _paper_denoiser()


def _is_large(item: SongEvaluation) -> bool:
    return _is_model(item) and not _is_paper(item) and item.latent_dim == LARGE_LATENT_DIM


def _ours(*asked: str) -> Callable[[SongEvaluation], bool]:
    """Songs of our models, of which exactly so much was asked."""

    def matches(item: SongEvaluation) -> bool:
        ours = _is_model(item) and not _is_paper(item) and not _is_large(item)
        given = {name for name in ("sections", "form") if item.generation.get(name)}
        if not given and item.generation.get("num_bars"):
            given = {"num_bars"}
        if "form" in given:
            given.add("sections")
        return ours and given == set(asked)

    return matches


def _baseline(name: str) -> Callable[[SongEvaluation], bool]:
    return lambda item: item.generator == name


ROWS: tuple[SongRow, ...] = (
    SongRow("ours, unconditional", _ours()),
    SongRow("ours, length", _ours("num_bars")),
    SongRow("ours, sections", _ours("sections")),
    SongRow("ours, sections + form", _ours("sections", "form")),
    SongRow("`paper` profile", _is_paper),
    SongRow("128 dimensions", _is_large),
    SongRow("Markov chain of phrases", _baseline("phrase_markov")),
    SongRow("bar shuffle", _baseline("bar_shuffle")),
    SongRow("training copies", _baseline("training_copies")),
)


def song_tables(found: Sequence[SongEvaluation]) -> list[ReportTable]:
    """Table 5, and what gives songs away where a classifier was trained.

    Args:
        found: all evaluations, those of most songs first. Of real songs the row is that of the
            first evaluation with as many of them as any.
    """
    lines: list[tuple[str, ...]] = []
    given_away: list[tuple[str, ...]] = []
    for label, column in (("real songs, training", "real"), ("real songs, held-out", "held_out")):
        lines.append(_real_line(label, column, found))
    for row in ROWS:
        items = [item for item in found if row.matches(item)]
        if not items:
            lines.append((row.label, NOT_RUN, *[""] * (len(HEADER) - 2)))
        for item in items:
            label = f"{row.label} ({item.settings})"
            lines.append(_line(label, item, "generated"))
            reasons = _reasons(item.metrics["generated"].get("two_sample_auc_songs"))
            if reasons:
                given_away.append((label, reasons))
    tables = [ReportTable(TITLE, HEADER, tuple(lines), NOTE)]
    if given_away:
        header = ("songs", "features by falling weight")
        tables.append(ReportTable(GIVEN_AWAY_TITLE, header, tuple(given_away)))
    return tables


def _real_line(label: str, column: str, found: Sequence[SongEvaluation]) -> tuple[str, ...]:
    most = max(
        (item for item in found if column in item.values),
        key=lambda item: len(item.values[column].song_ids),
        default=None,
    )
    if most is None:
        return (label, NOT_RUN, *[""] * (len(HEADER) - 2))
    return _line(label, most, column)


def _line(label: str, item: SongEvaluation, column: str) -> tuple[str, ...]:
    results, values = item.metrics[column], item.values[column]
    return (
        label,
        str(len(values.song_ids)),
        *(_number(results.get(f"srs_notes_{threshold}")) for threshold in THRESHOLDS),
        _paired(item) if column == "generated" else "",
        *(_cell(part, results, item) for part in COLUMNS),
        _longest(results.get("longest_quotation_notes"), values.values),
        *(_cell(part, results, item) for part in LAST_COLUMNS),
    )


def _cell(
    part: MetricColumn | DistanceColumn, results: Mapping[str, MetricResult], item: SongEvaluation
) -> str:
    if isinstance(part, MetricColumn):
        return _number(results.get(part.metric), is_share=part.is_share)
    own = _number(results.get(part.metric))
    real = item.metrics.get("real", {}).get(part.metric)
    if results is item.metrics.get("real") or real is None or math.isnan(real.value) or not own:
        return own
    return f"{own} / {real.value:.2f}"


def _number(result: MetricResult | None, *, is_share: bool = False) -> str:
    """A value with its interval; "undefined" where it is, empty where it was not measured."""
    if result is None:
        return ""
    if math.isnan(result.value):
        return "undefined"
    scale, digits, unit = (100.0, 1, " %") if is_share else (1.0, 2, "")
    text = f"{scale * result.value:.{digits}f}{unit}"
    if math.isnan(result.low):
        return text
    return f"{text} [{scale * result.low:.{digits}f}, {scale * result.high:.{digits}f}]"


def _paired(item: SongEvaluation) -> str:
    """Ratios of note SRS to the real songs of the same plans, at each threshold."""
    if "real" not in item.values:
        return ""
    ratios = [
        paired_by_plan(f"srs_notes_{threshold}", item.values["generated"], item.values["real"])
        for threshold in THRESHOLDS
    ]
    if all(math.isnan(ratio.value) for ratio in ratios):
        return ""
    cells = " / ".join(map(_number, ratios))
    return f"{cells} ({max(ratio.num_items for ratio in ratios)} pairs)"


def _longest(result: MetricResult | None, values: Mapping[str, np.ndarray]) -> str:
    if result is None or math.isnan(result.value):
        return _number(result)
    return f"{_number(result)}, at most {np.nanmax(values[result.name]):.0f}"


def _reasons(result: MetricResult | None) -> str:
    """What the note of the classifier's result says of features."""
    parts = result.note.split("; ") if result is not None else []
    return "; ".join(part for part in parts if ": ours " in part)
