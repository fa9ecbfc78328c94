"""Songs of every generator beside real ones, by all metrics that need no latents.

    python -m benchmarks.generator_table PACK [--npz SONGS.npz] [--phrase-ldm RELEASE]
        [--binomial RELEASE] [-n 100]

PACK is written by `benchmarks.headline_pack`, SONGS.npz by `benchmarks.gpu_headline songs`: songs
by whole plans of training songs. Song k of a seed takes the length and sections of one training
song, whatever generator writes it, but for PhraseLDM, which draws its plans; a copy is that song,
and has to be found as one. Intervals are 95 %.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.evaluate_songs_npz import Column, Pack, as_json, cell, measure, read_generated
from phrase_models.baselines.phrase_markov import PhraseMarkov
from phrase_models.baselines.song_choice import TrainingSongBaseline
from phrase_models.baselines.training_copies import TrainingCopies
from phrase_models.binomial.generator import BinomialGenerator
from phrase_models.generation_metrics import generated_song
from phrase_models.generator import Generator, SongRequest
from phrase_models.metrics.evaluated_song import EvaluatedSong
from phrase_models.phrase_ldm import PhraseLDMGenerator

REAL_PLANS = "real songs of these plans"
"""These training songs are compared with all others; a copy's own original counts."""


def written(generator: Generator, number: int, seed: int) -> list[EvaluatedSong]:
    """Songs 0 to `number` - 1 of a seed."""
    songs = [generator.generate(SongRequest(), seed, index) for index in range(number)]
    return [generated_song(song, "role") for song in songs]


def rows(arguments: argparse.Namespace, pack: Pack) -> Iterator[tuple[str, list[EvaluatedSong]]]:
    """Name and songs of each row."""
    training = [
        item.song for song_id, item in pack.evaluated.items() if pack.splits[song_id] == "train"
    ]
    number, seed = arguments.number, arguments.seed
    baselines: list[type[TrainingSongBaseline]] = [TrainingCopies, PhraseMarkov]
    for baseline in baselines:
        yield baseline.name, written(baseline(training, "0" * 12), number, seed)
    if arguments.binomial:
        generator = BinomialGenerator.from_pretrained(arguments.binomial)
        yield "binomial", written(generator, number, seed)
    if arguments.phrase_ldm:
        drawing = PhraseLDMGenerator.from_pretrained(arguments.phrase_ldm)
        yield "phrase_ldm, plans drawn", written(drawing, number, seed)
    if arguments.npz:
        songs = read_generated(arguments.npz, pack)[:number]
        yield "phrase_ldm, whole plans", [song.evaluated() for song in songs]
        yield REAL_PLANS, [pack.evaluated[song.song_id] for song in songs]


def table(columns: dict[str, Column]) -> str:
    """Markdown, a metric a line; those that no column has are left out."""
    names = dict.fromkeys(name for column in columns.values() for name in column.results)
    lines = [f"| metric | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        cells = [cell(column.results.get(name)) for column in columns.values()]
        if set(cells) - {"", "undefined"}:
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--npz", type=Path, help="songs of PhraseLDM by whole plans")
    parser.add_argument("--phrase-ldm", type=Path, help="release of PhraseLDM, to draw songs with")
    parser.add_argument("--binomial", type=Path, help="folder of a model of binomial diffusion")
    parser.add_argument("-n", "--number", type=int, default=100)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pack = Pack(arguments.pack)
    training = pack.training_reference()
    other = pack.other_songs(())
    columns = {"real, held out": measure(pack.held_out, other, None, training)}
    for name, songs in rows(arguments, pack):
        started = time.perf_counter()
        real = name == REAL_PLANS
        columns[name] = measure(songs, other, pack.held_out, training, leave_one_out=real)
        print(f"{name}: measured in {time.perf_counter() - started:.0f} s", flush=True)
    print(table(columns))
    if arguments.json:
        content = {name: as_json(column.results) for name, column in columns.items()}
        arguments.json.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
