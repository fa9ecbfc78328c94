"""Harmonising, completing and varying held-out songs, beside copied bars and notes by chance.

python benchmarks/binomial_tasks.py MODEL STORE [--songs 20] [--bars 24] [--steps N] [--json FILE]

MODEL is a folder of `save_binomial`, STORE has the tables of POP909 (`ingest_songs`). The songs are
the first held-out ones, of each the bars in its middle, all in C major or A minor. Intervals are
95 %, by resampling songs.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from phrase_models.binomial.config import RollConfig
from phrase_models.binomial.dataset import RollDataset, RollSong
from phrase_models.binomial.rolls import pack_bars, song_to_roll
from phrase_models.binomial.task_baselines import NearestBars, RandomNotes
from phrase_models.binomial.tasks import BinomialTasks
from phrase_models.metrics.result import MetricResult, mean_result
from phrase_models.metrics.song_tasks import SCORE_NAMES, distance, score_filling
from phrase_models.score.song import STEPS_PER_BAR, Song, Track
from phrase_models.song_tasks import ACCOMPANIMENT, Hole, WrittenSong, melody_alone
from storage.artifacts import ArtifactStore
from tasks.stages.rows import read_accepted_songs, splits_of

AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)
Filler = Callable[[Song, Hole, int], WrittenSong]


def songs_of(store: Path) -> tuple[list[Song], dict[str, str]]:
    """The songs of a store's newest `ingest_songs`, and their splits."""
    artifacts = ArtifactStore.existing(store)
    folder = artifacts.ref(artifacts.manifests("ingest_songs")[0]).folder
    return read_accepted_songs(folder), splits_of(folder)


def excerpt(song: Song, num_bars: int) -> Song:
    """Bars in the middle of a song; notes end with them."""
    first = max(0, (song.num_bars - num_bars) // 2)
    count = min(num_bars, song.num_bars)
    start, length = first * STEPS_PER_BAR, count * STEPS_PER_BAR
    tracks = []
    for track in song.tracks:
        notes = tuple(
            replace(
                note,
                onset=note.onset - start,
                duration=min(note.duration, length - note.onset + start),
            )
            for note in track.notes
            if start <= note.onset < start + length
        )
        if notes:
            tracks.append(Track(track.program, notes))
    chords = song.chords[first : first + count]
    return replace(song, num_bars=count, tracks=tuple(tracks), sections=(), chords=chords)


def training_rolls(songs: list[Song], splits: dict[str, str], config: RollConfig) -> RollDataset:
    rows, entries, first = [], [], 0
    for song in songs:
        if splits[song.song_id] == "train":
            rows.append(pack_bars(song_to_roll(song, config)[0]))
            entries.append(
                RollSong(
                    song_id=song.song_id, split="train", first_row=first, num_bars=song.num_bars
                )
            )
            first += song.num_bars
    return RollDataset(config, np.concatenate(rows), tuple(entries))


def task_table(
    songs: list[Song], fillers: dict[str, Filler], tasks: dict[str, Hole]
) -> dict[str, dict[str, dict[str, MetricResult]]]:
    """Results by task, filler and score."""
    table: dict[str, dict[str, dict[str, MetricResult]]] = {}
    for task, hole in tasks.items():
        table[task] = {}
        for name, fill in fillers.items():
            scores = []
            for index, song in enumerate(songs):
                start = melody_alone(song) if hole is ACCOMPANIMENT else song
                filled = fill(start, hole, index)
                scores.append(score_filling(song, filled.given, filled.song))
            table[task][name] = {
                score: mean_result(score, [getattr(item, score) for item in scores])
                for score in SCORE_NAMES
            }
            print_row(task, name, table[task][name])
    return table


def original(songs: list[Song]) -> Filler:
    """The song as it was: what the scores of a perfect answer are."""

    def fill(song: Song, hole: Hole, index: int) -> WrittenSong:
        whole = songs[index]
        low, high = hole.bars or (0, whole.num_bars)
        steps = range(low * STEPS_PER_BAR, high * STEPS_PER_BAR)
        outside = tuple(
            Track(
                track.program,
                tuple(
                    note
                    for note in track.notes
                    if note.onset not in steps
                    or (hole.programs and track.program not in hole.programs)
                ),
            )
            for track in song.tracks
        )
        return WrittenSong(whole, replace(song, tracks=outside), "original")

    return fill


def vary_table(songs: list[Song], model: BinomialTasks, seed: int) -> dict[str, MetricResult]:
    """Distance from the original by amount."""
    table = {}
    for amount in AMOUNTS:
        distances = [
            distance(song, model.vary(song, amount, seed, index).song)
            for index, song in enumerate(songs)
        ]
        table[f"{amount:g}"] = mean_result(f"distance at {amount:g}", distances)
        print(f"vary {amount:.2f}: distance {shown(table[f'{amount:g}'])}", flush=True)
    return table


def shown(result: MetricResult) -> str:
    return f"{result.value:.3f} [{result.low:.3f}, {result.high:.3f}]"


def print_row(task: str, name: str, scores: dict[str, MetricResult]) -> None:
    print(f"{task} | {name} | " + " | ".join(map(shown, scores.values())), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--bars", type=int, default=24)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started, used = time.perf_counter(), time.process_time()
    model = BinomialTasks.from_pretrained(arguments.model, arguments.steps)
    songs, splits = songs_of(arguments.store)
    training = training_rolls(songs, splits, model.model.config.roll)
    held_out = [song for song in songs if splits[song.song_id] != "train"]
    chosen = [excerpt(song, arguments.bars) for song in held_out[: arguments.songs]]
    half, quarter = arguments.bars // 2, arguments.bars // 4
    tasks = {
        "harmonise": ACCOMPANIMENT,
        "second half": Hole(bars=(half, arguments.bars)),
        "middle half": Hole(bars=(quarter, arguments.bars - quarter)),
    }
    nearest, random = (
        NearestBars(training),
        RandomNotes(training.config, training.densities().numpy()),
    )
    seed = arguments.seed
    fillers: dict[str, Filler] = {
        "the song itself": original(chosen),
        "nearest training bars": lambda song, hole, _: nearest.fill(song, hole, seed),
        "random notes": lambda song, hole, index: random.fill(song, hole, seed, index),
        "binomial diffusion": lambda song, hole, index: model.fill(song, hole, seed, index),
    }
    print(f"{len(chosen)} songs of {arguments.bars} bars; {model.sampler}")
    print("task | by | " + " | ".join(SCORE_NAMES), flush=True)
    table = task_table(chosen, fillers, tasks)
    varied = vary_table(chosen, model, seed)
    values = [result.value for result in varied.values()]
    print(f"vary is monotone: {values == sorted(values)}")
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    print(f"{wall:.0f} s by the clock, {cpu:.0f} s of the processor")
    if arguments.json:
        figures = {
            "model": model.digest,
            "sampler": model.sampler.model_dump(),
            "songs": [song.song_id for song in chosen],
            "bars": arguments.bars,
            "seconds": {"clock": wall, "processor": cpu},
            "tasks": {
                task: {
                    name: {key: asdict(value) for key, value in scores.items()}
                    for name, scores in rows.items()
                }
                for task, rows in table.items()
            },
            "vary": {amount: asdict(result) for amount, result in varied.items()},
        }
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
