"""Stage `evaluate_songs`: generated songs beside real ones, in one table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

from phrase_models.metrics.evaluation import (
    EvaluatedSong,
    build_training_reference,
    evaluate_songs,
)
from phrase_models.metrics.memorisation import build_training_melodies, melody_tokens
from phrase_models.metrics.result import MetricResult
from phrase_models.metrics.structure import bar_ssm
from phrase_models.plots import bar_ssm as plot_bar_ssm
from phrase_models.plots import figure_png
from phrase_models.score.midi import read_midi
from phrase_models.score.song import Song
from phrase_models.tokens.song_layout import (
    SlotLayout,
    bars_to_slots,
    check_layout,
    song_to_bars,
)
from phrase_models.tokens.vocabulary import FIRST_PROGRAM
from phrase_models.training.randomness import numpy_generator
from storage import tables
from storage.artifacts import ArtifactRef
from storage.latents import read_latents
from tasks.engine.stage import Stage
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import EvaluationConfig
from tasks.stages.rows import layout_sections, read_accepted_songs, splits_of

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

HEADLINE = ("phrase_fid", "phrase_fid_official", "srs_official", "t2r_official", "mr_official")


def score_songs(context: StageContext) -> Mapping[str, Any]:
    """Measure generated songs and, as the floor, real songs against the same reference."""
    config = context.config_as(EvaluationConfig)
    songs_folder = context.inputs["songs"].folder
    splits = splits_of(songs_folder)
    songs = read_accepted_songs(songs_folder)
    table = tables.read_songs(songs_folder / "songs.parquet")
    groups = {
        row["song_id"]: row["duplicate_group"]
        for row in table.iter_rows(named=True)
        if row["duplicate_group"]
    }
    train = [song for song in songs if splits[song.song_id] == "train"]
    melodies = {song.song_id: melody_tokens(song) for song in train}
    reference_index = build_training_reference(build_training_melodies(melodies, groups))
    context.report_progress(0.1, "training melodies indexed")

    order = numpy_generator(config.seed, "reference").permutation(len(train))
    floor_size = min(config.num_floor_songs, len(train) // 2)
    latents = read_latents(context.inputs["latents"].folder)
    layout = check_layout(latents.layout)
    real = [real_song(train[int(i)], latents.song(train[int(i)].song_id), layout) for i in order]
    floor, reference = real[:floor_size], real[floor_size:][: config.num_reference_songs]
    generated = read_generated(context.inputs["generated"].folder, layout)
    columns = {
        "generated": evaluate_songs(generated, reference, reference_index, seed=config.seed),
        "real": evaluate_songs(
            floor, reference, reference_index, seed=config.seed, leave_one_out=True
        ),
    }
    context.report_progress(0.9, "songs measured")
    write_results(context, columns, generated)
    return headline(columns)


def real_song(song: Song, latents: np.ndarray, layout: SlotLayout) -> EvaluatedSong:
    """A song of the corpus with its stored latents."""
    slots = bars_to_slots(song_to_bars(song), layout)
    return EvaluatedSong(song, latents, _music_slots(slots), song.sections or None, song.num_bars)


def _music_slots(slots: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    """Which slots hold music rather than a special phrase (num_bars, S)."""
    return np.array(
        [[bool(phrase) and phrase[0] >= FIRST_PROGRAM for phrase in bar] for bar in slots]
    )


def read_generated(folder: Path, layout: SlotLayout) -> list[EvaluatedSong]:
    """Songs of a `generate_songs` artifact, back from their MIDI files."""
    descriptions = json.loads((folder / "songs.json").read_text())
    latents = load_file(folder / "latents.safetensors")
    songs = []
    for item in descriptions:
        if item["num_notes"] == 0:
            continue
        song = read_midi(folder / "midi" / f"{item['name']}.mid")
        matrix = latents[item["name"]][: song.num_bars]
        slots = bars_to_slots(song_to_bars(song), layout)[: len(matrix)]
        plan = layout_sections(item["requested_layout"]) or None
        songs.append(EvaluatedSong(song, matrix, _music_slots(slots), plan, item["requested_bars"]))
    return songs


def write_results(
    context: StageContext,
    columns: Mapping[str, Sequence[MetricResult]],
    generated: Sequence[EvaluatedSong],
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
    if generated:
        matrix = bar_ssm(generated[0].latents)
        picture = figure_png(plot_bar_ssm(matrix, generated[0].song.sections))
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


def evaluation_stage(
    config: PipelineConfig, songs: ArtifactRef, latents: ArtifactRef, generated: ArtifactRef
) -> Stage:
    """Generated songs beside real ones."""
    return Stage(
        name="evaluate_songs",
        config=config.evaluation,
        inputs={"songs": songs, "latents": latents, "generated": generated},
        body=score_songs,
        tracked=True,
    )
