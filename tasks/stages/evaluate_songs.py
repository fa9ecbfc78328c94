"""Stage `evaluate_songs`: generated songs beside real ones, in one table."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from phrase_models.generation_metrics import generated_song, real_song
from phrase_models.generator import GeneratedSong
from phrase_models.metrics.evaluated_song import (
    EvaluatedSong,
    TrainingReference,
    build_training_reference,
)
from phrase_models.metrics.evaluation import evaluate_songs, song_values
from phrase_models.metrics.memorisation import build_training_melodies, melody_tokens
from phrase_models.metrics.result import MetricResult
from phrase_models.metrics.structure import bar_ssm
from phrase_models.plots import bar_ssm as plot_bar_ssm
from phrase_models.plots import figure_png
from phrase_models.score.song import Song
from phrase_models.song_batch import read_batch
from phrase_models.tokens.song_layout import check_layout
from phrase_models.training.randomness import numpy_generator
from storage import tables
from storage.artifacts import ArtifactRef
from storage.latents import read_latents
from tasks.engine.engines import sharded
from tasks.engine.shards import Shard
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.reports.song_values import SongValues, write_resamples, write_song_values
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import EvaluationConfig
from tasks.stages.rows import iter_accepted_songs, splits_of

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

SHARD_SONGS = 16
HEADLINE = (
    "srs_notes_50",
    "srs_notes_70",
    "srs_notes_90",
    "feature_frechet",
    "phrase_fid",
    "phrase_fid_official",
    "srs_official",
    "t2r_official",
    "mr_official",
)


def score_songs(context: StageContext) -> Mapping[str, Any]:
    """Measure generated songs beside real training and held-out songs, all against others.

    The training songs shown are first those whose sections were asked for, so that generated songs
    can be paired with them; the reference is of other training songs.
    """
    config = context.config_as(EvaluationConfig)
    songs_folder = context.inputs["songs"].folder
    latents = read_latents(context.inputs["latents"].folder)
    layout = check_layout(latents.layout)
    generated = read_batch(context.inputs["generated"].folder)
    asked = {item.request.section_layout for item in generated} - {""}
    train, held_out = layouts_by_split(songs_folder)
    order = reference_order(train, asked, seed=config.seed)
    floor_size = min(config.num_floor_songs, len(train) // 2)
    floor, reference = order[:floor_size], order[floor_size:][: config.num_reference_songs]
    others = held_out_songs(held_out, config.num_held_out_songs, seed=config.seed)
    wanted = {*floor, *reference, *others}
    real = {
        song.song_id: real_song(song, latents.song(song.song_id), layout, latents.bar_end)
        for song in iter_accepted_songs(songs_folder)
        if song.song_id in wanted
    }
    songs = {
        "generated": [generated_song(item, layout, latents.bar_end) for item in generated],
        "real": [real[name] for name in floor],
        "held_out": [real[name] for name in others],
    }
    compared = [real[name] for name in reference]
    columns: dict[str, Sequence[MetricResult]] = {}
    values: dict[str, SongValues] = {}
    measure = partial(measure_part, songs_folder, others)
    for name, measured in measured_songs(context, measure, songs).items():
        values[name] = SongValues.of_songs(songs[name], measured)
        columns[name] = evaluate_songs(
            songs[name], compared, None, seed=config.seed, values=measured
        )
    write_song_values(context.output, values)
    write_resamples(context.output, columns["generated"])
    write_results(context, columns, generated, chosen_sentence(len(others), len(held_out)))
    return headline(columns)


def measured_songs(
    context: StageContext,
    measure: Callable[[_Part], dict[str, np.ndarray]],
    songs: Mapping[str, Sequence[EvaluatedSong]],
) -> dict[str, dict[str, np.ndarray]]:
    """Values of each song of every column (see `song_values`), over the workers of the engine."""
    parts = [
        _Part(name, tuple(items[start : start + SHARD_SONGS]))
        for name, items in songs.items()
        for start in range(0, max(1, len(items)), SHARD_SONGS)
    ]
    shards = [Shard(tuple(item.song.song_id for item in part.songs), part) for part in parts]
    found: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in songs}
    with sharded(context.runtime, measure, shards, len(shards)) as results:
        for done, (part, values) in enumerate(zip(parts, results, strict=True), start=1):
            found[part.column].append(values)
            words = f"{part.column.replace('_', '-')} songs measured"
            context.report_progress(done / len(parts), words)
    return {
        name: {metric: np.concatenate([part[metric] for part in some]) for metric in some[0]}
        for name, some in found.items()
    }


@dataclass(frozen=True)
class _Part:
    """Some songs of a column."""

    column: str
    songs: tuple[EvaluatedSong, ...]


def measure_part(
    songs_folder: Path, held_out: tuple[str, ...], part: _Part
) -> dict[str, np.ndarray]:
    """Values of some songs; training songs are compared with the others only."""
    training = training_reference(songs_folder, held_out)
    return song_values(part.songs, training, leave_one_out=part.column == "real")


@lru_cache(maxsize=1)
def training_reference(songs_folder: Path, held_out: tuple[str, ...]) -> TrainingReference:
    """The training melodies, indexed once in a process.

    Args:
        songs_folder: of an artifact of `ingest_songs`.
        held_out: ids of the songs that say what is quoted by chance.
    """
    splits = splits_of(songs_folder)
    melodies: dict[str, Sequence[int]] = {}
    others: list[Song] = []
    for song in iter_accepted_songs(songs_folder):
        if splits[song.song_id] == "train":
            melodies[song.song_id] = array("H", melody_tokens(song))
        elif song.song_id in held_out:
            others.append(song)
    indexed = build_training_melodies(melodies, duplicate_groups(songs_folder))
    return build_training_reference(indexed, others)


def layouts_by_split(songs_folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Sections by song id, of the training songs and of those held out."""
    table = tables.read_songs(songs_folder / "songs.parquet").filter(pl.col("accepted"))
    train: dict[str, str] = {}
    held_out: dict[str, str] = {}
    for row in table.iter_rows(named=True):
        side = train if row["split"] == "train" else held_out
        side[row["song_id"]] = row["section_layout"] or ""
    return train, held_out


def duplicate_groups(songs_folder: Path) -> dict[str, str]:
    """Song id to group, of songs that have versions among the others."""
    table = tables.read_songs(songs_folder / "songs.parquet")
    return {
        row["song_id"]: row["duplicate_group"]
        for row in table.iter_rows(named=True)
        if row["duplicate_group"]
    }


def reference_order(train: Mapping[str, str], asked: Collection[str], *, seed: int) -> list[str]:
    """Training songs in random order, those with sections that were asked for before others.

    Args:
        train: sections by song id.
        asked: sections.
        seed: of the order.
    """
    names = [*train]
    order = numpy_generator(seed, "reference").permutation(len(names))
    shuffled = [names[int(index)] for index in order]
    return sorted(shuffled, key=lambda name: train[name] not in asked)


def held_out_songs(held_out: Mapping[str, str], most: int, *, seed: int) -> tuple[str, ...]:
    """All held-out songs, or so many of them at random; in the order that they have.

    Args:
        held_out: sections by song id.
        most: as many at most.
        seed: of the choice.
    """
    chosen = {*reference_order(held_out, (), seed=seed)[:most]}
    return tuple(name for name in held_out if name in chosen)


def chosen_sentence(num_chosen: int, num_held_out: int) -> str:
    """What is said where not all held-out songs are measured; nothing where all are."""
    if num_chosen == num_held_out:
        return ""
    return (
        f"\nOf {num_held_out} held-out songs, {num_chosen} chosen at random are measured: "
        "evaluation.num_held_out_songs says how many.\n"
    )


def write_results(
    context: StageContext,
    columns: Mapping[str, Sequence[MetricResult]],
    generated: Sequence[GeneratedSong],
    remark: str,
) -> None:
    """`metrics.json`, `metrics.md` with a remark, and a picture, here and in MLflow."""
    rows = {name: plain_results(results) for name, results in columns.items()}
    text = json.dumps(rows, indent=1)
    (context.output / "metrics.json").write_text(text, encoding="utf-8")
    table = metrics_table(columns) + remark
    (context.output / "metrics.md").write_text(table, encoding="utf-8")
    drawn = next(
        (song for song in generated if song.latents is not None and song.song.num_notes), None
    )
    if drawn is not None and drawn.latents is not None:
        picture = figure_png(plot_bar_ssm(bar_ssm(drawn.latents), drawn.song.sections))
        (context.output / "log").mkdir()
        (context.output / "log" / "bar_ssm.png").write_bytes(picture)
        context.tracker.log_file(context.output / "log" / "bar_ssm.png")
    context.tracker.log_file(context.output / "metrics.md")
    values = {
        f"{name}/{result.name}": result.value
        for name, results in columns.items()
        for result in results
        if not math.isnan(result.value)
    }
    context.tracker.log_metrics(0, values)


def plain_results(results: Sequence[MetricResult]) -> dict[str, dict[str, Any]]:
    """Results by name for `json.dump`; what is undefined is null."""
    return {
        result.name: {
            "value": None if math.isnan(result.value) else result.value,
            "low": None if math.isnan(result.low) else result.low,
            "high": None if math.isnan(result.high) else result.high,
            "num_songs": result.num_items,
            "note": result.note,
        }
        for result in results
    }


def metrics_table(columns: Mapping[str, Sequence[MetricResult]]) -> str:
    """Markdown: a metric a line, generated beside real songs, with 95 % intervals.

    Below it stands what gives the generated songs away, where a classifier was trained.
    """
    real, held_out = (
        {result.name: result for result in columns.get(name, ())} for name in ("real", "held_out")
    )
    lines = [
        "| metric | generated | real songs (training) | real songs (held-out) |",
        "|---|---|---|---|",
    ]
    for result in columns["generated"]:
        cells = [
            cell_text(result),
            cell_text(real.get(result.name)),
            cell_text(held_out.get(result.name)),
        ]
        lines.append(f"| {result.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_giveaway(columns["generated"])]) + "\n"


def _giveaway(results: Sequence[MetricResult]) -> list[str]:
    """By what a classifier tells generated songs from real ones, as the note of its result says."""
    for result in results:
        if result.name == "two_sample_auc_songs" and not math.isnan(result.value):
            reasons = [part for part in result.note.split("; ") if ": ours " in part]
            return ["", "What gives generated songs away:", "", *(f"- {part}" for part in reasons)]
    return []


def cell_text(result: MetricResult | None) -> str:
    """A result in a table: value and interval, or why it is undefined."""
    if result is None:
        return ""
    if math.isnan(result.value):
        said = result.note.removeprefix("undefined ")
        return f"undefined: {said}" if said else "undefined"
    interval = "" if math.isnan(result.low) else f" [{result.low:.3f}, {result.high:.3f}]"
    return f"{result.value:.3f}{interval}"


def headline(columns: Mapping[str, Sequence[MetricResult]]) -> dict[str, float]:
    """The figures a person compares first, and generated over real where both are there."""
    figures: dict[str, float] = {}
    values = {name: {r.name: r.value for r in results} for name, results in columns.items()}
    for metric, value in values["generated"].items():
        if not math.isnan(value):
            figures[metric] = value
        real = values["real"].get(metric, math.nan)
        if metric in HEADLINE and not math.isnan(real):
            figures[f"{metric}_real"] = real
    return figures


STAGE = StageKind(
    name="evaluate_songs",
    body=score_songs,
    reads=("ingest_songs", "encode_latents", "generate_songs"),
    experiment="songs",
    shown=("metrics.md",),
)


def evaluation_stage(
    config: PipelineConfig, songs: ArtifactRef, latents: ArtifactRef, generated: ArtifactRef
) -> Stage:
    """Generated songs beside real ones."""
    return STAGE.configured(
        config.evaluation, {"songs": songs, "latents": latents, "generated": generated}
    )
