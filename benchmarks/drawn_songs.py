"""Songs of a release by plans that nobody gave, beside real songs.

    python -m benchmarks.drawn_songs PACK [--release RELEASE] [--plans drawn] [-n 200] [--seed 0]
        [--steps 30] [--json FILE]
    python -m benchmarks.drawn_songs PACK --npz SONGS --of PLANS [--json FILE]

PACK is written by `benchmarks.headline_pack`; SONGS were drawn elsewhere, by the plans that
`benchmarks.drawn_plans` wrote. Songs and 200 real training songs are compared with
the same 200 other training songs, and with the held-out ones. Songs are drawn four at a time in
bf16. Intervals are 95 %.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.drawn_plans import add_plan_options, read_plans, whole_plans
from benchmarks.evaluate_songs_npz import (
    Column,
    Pack,
    TokenSong,
    as_json,
    longest,
    measure,
    read_tokens,
)
from benchmarks.generator_table import table
from phrase_models.diffusion.plan import SongPlan
from phrase_models.diffusion.sampling import draw_songs
from phrase_models.form.form_edits import obeyed
from phrase_models.metrics.result import mean_result
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.training.randomness import numpy_generator

BATCH_SIZE = 4
NUM_REAL = 200


def drawn_songs(
    generator: PhraseLDMGenerator, plans: Sequence[SongPlan], seed: int
) -> list[TokenSong]:
    """Songs 0, 1, ... of a seed by whole plans, as decoded."""
    songs = []
    for first in range(0, len(plans), BATCH_SIZE):
        batch = plans[first : first + BATCH_SIZE]
        latents = draw_songs(
            generator.model,
            batch,
            seed,
            generator.sampler,
            first_index=first,
            batch_size=BATCH_SIZE,
            reencode=generator.codec.reencode_songs,
        )
        names = [{"song_id": f"{seed}-{first + row}"} for row in range(len(batch))]
        decoded = generator.codec.decode_songs(latents, names, generator.decoding)
        songs += [
            TokenSong(name["song_id"], song.slots, plan.sections, len(plan.form.states))
            for name, song, plan in zip(names, decoded, batch, strict=True)
        ]
    return songs


def read_songs(path: Path, plans: Mapping[str, SongPlan]) -> list[TokenSong]:
    """The songs of a file of `benchmarks.gpu_headline songs`, by plans with their names."""
    return [
        TokenSong(name, slots, plans[name].sections, plans[name].num_bars or 0)
        for name, slots in read_tokens(path)
    ]


def _draw(arguments: argparse.Namespace) -> tuple[list[TokenSong], list[SongPlan]]:
    started = time.perf_counter()
    generator = PhraseLDMGenerator.from_pretrained(arguments.release)
    changes = {"num_sampling_steps": arguments.steps} if arguments.steps else {}
    sampler = generator.sampler.model_copy(update={"precision": "bf16", **changes})
    generator = generator.with_sampler(sampler)
    plans = whole_plans(generator, arguments.plans, arguments.number, arguments.seed)
    songs = drawn_songs(generator, plans, arguments.seed)
    print(f"{len(songs)} songs drawn in {time.perf_counter() - started:.0f} s", flush=True)
    return songs, plans


def real_songs(pack: Pack) -> list[str]:
    """Names of training songs to stand beside those drawn."""
    train = [song_id for song_id in pack.songs if pack.splits[song_id] == "train"]
    order = numpy_generator("drawn songs", "real").permutation(len(train))
    return [train[int(k)] for k in order[:NUM_REAL]]


def with_form_obeyed(column: Column, songs: Sequence[TokenSong], plans: Sequence[SongPlan]) -> None:
    """Put the share of cells that obey the form into a column's results."""
    shares = [obeyed(plan.form, song.slots) for plan, song in zip(plans, songs, strict=True)]
    column.results["form_obeyed"] = mean_result("form_obeyed", shares)


def main() -> None:
    """Draw, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    add_plan_options(parser)
    parser.add_argument("--steps", type=int, help="of the sampler; those of the release by default")
    parser.add_argument("--npz", type=Path, help="songs that are there already")
    parser.add_argument("--of", type=Path, help="the plans of these songs")
    parser.add_argument("--json", type=Path, help="file for all figures")
    arguments = parser.parse_args()
    if arguments.npz:
        named = read_plans(arguments.of)
        songs = read_songs(arguments.npz, named)
        plans = [named[song.song_id] for song in songs]
    else:
        songs, plans = _draw(arguments)
    pack = Pack(arguments.pack)
    training, names = pack.training_reference(), real_songs(pack)
    other = pack.other_songs(names)
    ours = measure([song.evaluated() for song in songs], other, pack.held_out, training)
    with_form_obeyed(ours, songs, plans)
    real = [pack.evaluated[name] for name in names]
    columns = {
        arguments.plans: ours,
        "real training songs": measure(real, other, pack.held_out, training, leave_one_out=True),
    }
    print(table(columns))
    for name, column in columns.items():
        print(f"{name}: {longest(column)}")
    if arguments.json:
        figures = {name: as_json(column.results) for name, column in columns.items()}
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
