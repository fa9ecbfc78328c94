"""Stage `evaluate_songs`: generated songs beside real ones, in one table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phrase_models.generation_metrics import evaluate_generated, real_song
from phrase_models.generator import GeneratedSong
from phrase_models.metrics.evaluation import build_training_reference, evaluate_songs
from phrase_models.metrics.memorisation import build_training_melodies, melody_tokens
from phrase_models.metrics.result import MetricResult
from phrase_models.metrics.structure import bar_ssm
from phrase_models.plots import bar_ssm as plot_bar_ssm
from phrase_models.plots import figure_png
from phrase_models.song_batch import read_batch
from phrase_models.tokens.song_layout import check_layout
from phrase_models.training.randomness import numpy_generator
from storage import tables
from storage.artifacts import ArtifactRef
from storage.latents import read_latents
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import EvaluationConfig
from tasks.stages.rows import read_training_songs

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

HEADLINE = ("phrase_fid", "phrase_fid_official", "srs_official", "t2r_official", "mr_official")


def score_songs(context: StageContext) -> Mapping[str, Any]:
    """Measure generated songs and, as the floor, real songs against the same reference."""
    config = context.config_as(EvaluationConfig)
    songs_folder = context.inputs["songs"].folder
    table = tables.read_songs(songs_folder / "songs.parquet")
    groups = {
        row["song_id"]: row["duplicate_group"]
        for row in table.iter_rows(named=True)
        if row["duplicate_group"]
    }
    train = read_training_songs(songs_folder)
    melodies = {song.song_id: melody_tokens(song) for song in train}
    reference_index = build_training_reference(build_training_melodies(melodies, groups))
    context.report_progress(0.1, "training melodies indexed")

    order = numpy_generator(config.seed, "reference").permutation(len(train))
    floor_size = min(config.num_floor_songs, len(train) // 2)
    latents = read_latents(context.inputs["latents"].folder)
    layout = check_layout(latents.layout)
    real = [real_song(train[int(i)], latents.song(train[int(i)].song_id), layout) for i in order]
    floor, reference = real[:floor_size], real[floor_size:][: config.num_reference_songs]
    generated = read_batch(context.inputs["generated"].folder)
    columns = {
        "generated": evaluate_generated(
            generated, reference, reference_index, layout=layout, seed=config.seed
        ),
        "real": evaluate_songs(
            floor, reference, reference_index, seed=config.seed, leave_one_out=True
        ),
    }
    context.report_progress(0.9, "songs measured")
    write_results(context, columns, generated)
    return headline(columns)


def write_results(
    context: StageContext,
    columns: Mapping[str, Sequence[MetricResult]],
    generated: Sequence[GeneratedSong],
) -> None:
    """`metrics.json`, `metrics.md` and a picture, here and in MLflow."""
    rows = {
        name: {
            result.name: {
                "value": None if math.isnan(result.value) else result.value,
                "low": None if math.isnan(result.low) else result.low,
                "high": None if math.isnan(result.high) else result.high,
                "num_songs": result.num_items,
                "note": result.note,
            }
            for result in results
        }
        for name, results in columns.items()
    }
    (context.output / "metrics.json").write_text(json.dumps(rows, indent=1))
    (context.output / "metrics.md").write_text(metrics_table(columns))
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


def metrics_table(columns: Mapping[str, Sequence[MetricResult]]) -> str:
    """Markdown: a metric a line, generated beside real songs, with 95 % intervals."""
    real = {result.name: result for result in columns["real"]}
    lines = ["| metric | generated | real songs |", "|---|---|---|"]
    for result in columns["generated"]:
        other = real.get(result.name)
        lines.append(f"| {result.name} | {_cell(result)} | {_cell(other) if other else ''} |")
    return "\n".join(lines) + "\n"


def _cell(result: MetricResult) -> str:
    if math.isnan(result.value):
        return f"undefined: {result.note}" if result.note else "undefined"
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
