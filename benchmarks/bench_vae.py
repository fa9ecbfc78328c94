"""PhraseVAE against the plain way: a training step, a corpus to latents, latents to tokens.

python benchmarks/bench_vae.py TABLES_FOLDER [--vae FOLDER] [--songs N] [--threads N] [--json FILE]

TABLES_FOLDER is an artifact of `tokenise_songs`. The plain way is transformers' T5 in fp32 at the
default matmul precision (`plain_t5.py`): 128 shuffled phrases a training batch, padded to the
longest; encoding and decoding all slots of a song, repeated and special ones too, in one padded
batch, `generate` going on until the longest phrase of the song ends. Ours is the program's own
code. Weights are equal. Each way runs in a process of its own, the ways take turns, and every ratio
comes with its twin in CPU seconds, which another program on the machine disturbs less.

Training is counted per token of a phrase, padding left out, over phrases as often as they occur in
the corpus, special ones left out, without dropout; both have AdamW and clipped gradients.

Without --vae the weights are random, and a random decoder never ends a phrase of its own accord: on
both sides the embeddings of the end token and of the special phrases are zero, so that they are
never the likeliest, and each row ends after as many tokens as the real phrase of its slot has
(plain: a stopping criterion, so `generate` still goes on until the longest row ends; ours: the
limits of `LatentDecoder.decode`). Both decode without the grammar then, which would end random
phrases early, and end of song and special phrases are not recognised. With --vae the weights decide
every length, nothing is forced, and times of ours are the program's own, with the grammar; tokens
are compared without it, for the plain way has none.

"no two alike": a little noise on each latent, as in generated songs, so that
nothing repeats; all other latents are those of the real songs, whose phrases do.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from corpus_slots import Song, count_tokens, read_phrases, read_songs

from phrase_models.tokens import vocabulary

if TYPE_CHECKING:
    from phrase_models.codec import PhraseCodec
    from phrase_models.vae.decoding import Precision
    from phrase_models.vae.model import PhraseVAE

PLAIN, FP32, BF16 = "plain", "ours fp32", "ours bf16"
TOGETHER = "ours bf16, songs together"
FP32_DISTINCT, BF16_DISTINCT = "ours fp32, no two alike", "ours bf16, no two alike"
WAYS = {
    "training": (PLAIN, FP32, BF16),
    "encoding": (PLAIN, FP32, BF16),
    "decoding": (PLAIN, FP32, BF16, TOGETHER, FP32_DISTINCT, BF16_DISTINCT),
}
PLAIN_BATCH = 128
TRAINING_STEPS = 6
"""In a run, the same batches in each of the plain way's; ours take about as many tokens a step."""
OUR_BATCH_TOKENS = 3840
"""Padded; holds about as many real tokens as 128 phrases of the corpus."""
NOISE = 1e-3


@dataclass(frozen=True)
class Job:
    quantity: str
    way: str
    tables: Path
    vae: Path | None
    num_songs: int
    num_threads: int


@dataclass
class Work:
    """What a process measures: only `run` is timed."""

    run: Callable[[], Any]
    count: Callable[[Any], int]
    """Useful tokens of what a run returned."""
    warm_up: Callable[[], Any]
    check: Callable[[], Any] | None = None
    """Output to compare with the plain way's, not timed; the latest one where not given."""


# --------------------------------------------------------------------------- models
def make_vae(folder: Path | None) -> "PhraseVAE":
    """Trained weights, or random ones of the paper's architecture that never end of themselves."""
    import torch

    from phrase_models.training.randomness import seed_everything
    from phrase_models.vae.model import PhraseVAE
    from phrase_models.vae.pretrained import load_vae
    from tasks.settings.presets import load_preset

    if folder:
        return load_vae(folder)
    seed_everything(0, "bench_vae")
    vae = PhraseVAE(load_preset("paper").vae.model_copy(update={"dropout": 0.0})).eval()
    specials = [vocabulary.EMPTY_SLOT, vocabulary.END_OF_SONG, vocabulary.END_OF_BAR]
    with torch.no_grad():
        vae.embedding.weight[[vocabulary.EOS, *specials]] = 0.0
    return vae


def precision_of(way: str) -> "Precision":
    return "bf16" if "bf16" in way else "fp32"


# --------------------------------------------------------------------------- training
def plain_training(job: Job) -> Work:
    from plain_t5 import PlainPhraseVAE, PlainTraining

    phrases = read_phrases(job.tables)
    order = np.random.default_rng(0).permutation(len(phrases)).tolist()
    batches = [
        [phrases[row] for row in order[step * PLAIN_BATCH : (step + 1) * PLAIN_BATCH]]
        for step in range(TRAINING_STEPS)
    ]
    training = PlainTraining(PlainPhraseVAE(make_vae(job.vae)))
    return Work(lambda: training.train(batches), int, lambda: training.train(batches[:1]))


def our_training(job: Job) -> Work:
    from phrase_models.training.config import TrainingConfig
    from phrase_models.training.loop import TrainingRun
    from phrase_models.vae.config import VAEObjectiveConfig
    from phrase_models.vae.phrase_table import PhraseTable
    from phrase_models.vae.training import VAETraining

    table = PhraseTable.build(read_phrases(job.tables))
    config = TrainingConfig(
        num_steps=10_000,
        batch_size=OUR_BATCH_TOKENS,
        learning_rate=1e-4,
        validate_every=10_000,
        checkpoint_every=10_000,
        precision=precision_of(job.way),
    )
    objective = VAEObjectiveConfig(count_exponent=1.0, special_share=0.0)
    training = VAETraining(make_vae(job.vae), "vae", objective, config, table, table)
    training_run = TrainingRun(training, config, Path(tempfile.mkdtemp()))

    def run(num_steps: int = TRAINING_STEPS) -> range:
        steps = range(training_run.step, training_run.step + num_steps)
        for _ in steps:
            training_run.train_step()
        return steps

    def count(steps: range) -> int:
        return sum(int((training.batches.batch(step) != vocabulary.PAD).sum()) for step in steps)

    return Work(run, count, partial(run, 2))


# --------------------------------------------------------------------------- encoding
def plain_encoding(job: Job) -> Work:
    from plain_t5 import PlainPhraseVAE

    model = PlainPhraseVAE(make_vae(job.vae)).eval()
    songs = read_songs(job.tables, job.num_songs)
    return Work(
        lambda: model.encode_songs(songs),
        lambda _latents: sum(map(count_tokens, songs)),
        partial(model.encode_songs, [songs[0][:64]]),
    )


def our_encoding(job: Job) -> Work:
    from phrase_models.codec import PhraseCodec

    codec = PhraseCodec(make_vae(job.vae), "pitch_order", precision=precision_of(job.way))
    songs = read_songs(job.tables, job.num_songs)

    slots = [phrase for song in songs for phrase in song]
    return Work(
        lambda: codec.encode_phrases(slots),
        lambda _latents: count_tokens(slots),
        partial(codec.encode_phrases, slots[:64]),
    )


# --------------------------------------------------------------------------- decoding
def latents_of_songs(job: Job, codec: "PhraseCodec") -> tuple[list[Song], list[Any]]:
    """Songs and their latents (slots, D), each by itself."""
    songs = read_songs(job.tables, job.num_songs)
    latents = [codec.encode_phrases(song) for song in songs]
    if "no two alike" in job.way:
        rng = np.random.default_rng(0)
        latents = [
            (values + NOISE * rng.standard_normal(values.shape)).astype(np.float32)
            for values in latents
        ]
    return songs, latents


def plain_decoding(job: Job) -> Work:
    import torch
    from plain_t5 import PlainPhraseVAE

    from phrase_models.codec import PhraseCodec

    vae = make_vae(job.vae)
    songs, latents = latents_of_songs(job, PhraseCodec(vae, "pitch_order"))
    model = PlainPhraseVAE(vae).eval()
    limits = [None if job.vae else [len(phrase) for phrase in song] for song in songs]

    def run() -> list[Song]:
        each = zip(latents, limits, strict=True)
        return [model.decode(torch.from_numpy(values), most) for values, most in each]

    few = torch.from_numpy(latents[0][:16])
    return Work(run, count_songs, lambda: model.decode(few, [4] * 16))


def our_decoding(job: Job) -> Work:
    from phrase_models.codec import PhraseCodec

    vae = make_vae(job.vae)
    songs, latents = latents_of_songs(job, PhraseCodec(vae, "pitch_order"))
    codec = PhraseCodec(vae, "pitch_order", precision=precision_of(job.way))
    limits: list[Any] = [None] * len(songs)
    decode: Callable[..., list[Song]] = partial(decode_free, codec)
    if not job.vae:
        limits = [[len(phrase) for phrase in song] for song in songs]
        decode = partial(decode_limited, codec)

    def run() -> list[Song]:
        if job.way == TOGETHER:
            return decode(latents, limits)
        each = zip(latents, limits, strict=True)
        return [song for one, most in each for song in decode([one], [most])]

    warm_up = partial(decode, [latents[0][:16]], [[4] * 16])
    return Work(run, count_songs, warm_up, partial(decode_limited, codec, latents, limits))


def count_songs(songs: list[Song]) -> int:
    """Tokens of all slots of all songs."""
    return sum(map(count_tokens, songs))


def decode_free(codec: "PhraseCodec", songs: list[Any], _limits: Any) -> list[Song]:
    """The program's way from latents to songs; tokens of every slot."""
    shaped = [values.reshape(-1, codec.slots_per_bar, values.shape[-1]) for values in songs]
    decoded = codec.decode_songs(shaped, [{}] * len(songs))
    return [[phrase for bar in song.slots for phrase in bar] for song in decoded]


def decode_limited(codec: "PhraseCodec", songs: list[Any], limits: list[Any]) -> list[Song]:
    """Distinct latents once, without the grammar, no row longer than its slot's real phrase."""
    from phrase_models.codec import distinct_rows

    flat = np.concatenate(songs)
    distinct, inverse = distinct_rows(flat)
    # Equal latents have equal limits: random weights give only the special phrases one latent.
    most = None if limits[0] is None else np.concatenate(limits)[distinct]
    phrases = codec.decoder.decode(flat[distinct], constrained=False, limits=most)
    slots = iter([phrases[index] for index in inverse.tolist()])
    return [[next(slots) for _ in song] for song in songs]


# --------------------------------------------------------------------------- processes
MAKERS = {
    "training": (plain_training, our_training),
    "encoding": (plain_encoding, our_encoding),
    "decoding": (plain_decoding, our_decoding),
}


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count the parent's memory before exec
        line = next(line for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(connection: Connection, job: Job) -> None:
    """A process of one way: measures on each "run", until told to "stop"."""
    import torch

    torch.set_num_threads(job.num_threads)
    if job.way != PLAIN:
        torch.set_float32_matmul_precision("medium")
    plain_maker, our_maker = MAKERS[job.quantity]
    work = plain_maker(job) if job.way == PLAIN else our_maker(job)
    loaded = peak_mb()
    work.warm_up()
    output = None
    connection.send("ready")
    while connection.recv() == "run":
        wall, cpu = time.perf_counter(), time.process_time()
        output = work.run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        tokens = work.count(output)
        connection.send({"wall": wall, "cpu": cpu, "tokens": tokens, "output": output})
    peak = peak_mb()
    check = work.check() if work.check else output
    connection.send({"peak_mb": peak, "over_loaded_mb": peak - loaded, "check": check})


def measure(quantity: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All ways of one quantity by turns; one row each."""
    context = multiprocessing.get_context("forkserver")
    # Seconds to import, so once for all ways.
    context.set_forkserver_preload(
        ["transformers.models.t5.modeling_t5", "transformers.generation"]
    )
    connections = {}
    for way in WAYS[quantity]:
        ours, theirs = context.Pipe()
        job = Job(
            quantity, way, arguments.tables, arguments.vae, arguments.songs, arguments.threads
        )
        context.Process(target=serve, args=(theirs, job), daemon=True).start()
        theirs.close()  # or a process that fails would be waited for
        connections[way] = ours
        ours.recv()
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in connections}
    for _ in range(arguments.repeat):
        for way, connection in connections.items():
            connection.send("run")
            runs[way].append(connection.recv())
    ends = {}
    for way, connection in connections.items():
        connection.send("stop")
        ends[way] = connection.recv()
    songs = read_songs(arguments.tables, arguments.songs)
    trained = arguments.vae is not None
    return [make_row(quantity, way, runs, ends, songs, trained=trained) for way in connections]


# --------------------------------------------------------------------------- figures
def per_token(runs: Sequence[dict[str, Any]], clock: str) -> float:
    """Seconds a useful token, the least disturbed run's."""
    return min(run[clock] / run["tokens"] for run in runs)


def make_row(
    quantity: str,
    way: str,
    runs: dict[str, list[dict[str, Any]]],
    ends: dict[str, dict[str, Any]],
    songs: list[Song],
    *,
    trained: bool,
) -> dict[str, Any]:
    """Figures of one way; times are of one run, the ratios of training are per useful token."""
    own, plain = runs[way], runs[PLAIN]
    row = {
        "quantity": quantity,
        "way": way,
        "wall_s": min(run["wall"] for run in own),
        "cpu_s": min(run["cpu"] for run in own),
        "tokens": own[0]["tokens"],
        "tokens_per_cpu_s": 1 / per_token(own, "cpu"),
        "peak_mb": ends[way]["peak_mb"],
        "over_loaded_mb": ends[way]["over_loaded_mb"],
    }
    for clock in ("wall", "cpu"):
        if quantity == "training":
            row[f"ratio_{clock}"] = per_token(plain, clock) / per_token(own, clock)
        else:
            times = [min(run[clock] for run in runs[name]) for name in (PLAIN, way)]
            row[f"ratio_{clock}"] = times[0] / times[1]
    if way != PLAIN and quantity != "training":
        row |= agreement(quantity, way, ends)
    if quantity == "decoding" and trained:
        row |= f1_scores(songs, own[-1]["output"])
    return row


def agreement(quantity: str, way: str, ends: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Largest relative difference of latents, or the share of slots with equal tokens."""
    expected, found = ends[PLAIN]["check"], ends[way]["check"]
    if quantity == "encoding":
        return {"difference": float(np.abs(found - expected).max() / np.abs(expected).max())}
    if "no two alike" in way:
        return {}  # decoded from other latents
    pairs = [
        (one, other)
        for plain_song, our_song in zip(expected, found, strict=True)
        for one, other in zip(plain_song, our_song, strict=True)
    ]
    return {"equal_slots": sum(one == other for one, other in pairs) / len(pairs)}


def f1_scores(songs: list[Song], outputs: list[Song]) -> dict[str, float]:
    """F1 of the notes against the real songs."""
    from phrase_models.metrics.note_matching import count_phrase, pool
    from phrase_models.tokens.remiz import decode

    scores = pool(
        count_phrase(decode(target)[0], decode(output)[0])
        for song, slots in zip(songs, outputs, strict=True)
        for target, output in zip(song, slots, strict=True)
    )
    return {"f1_op": scores.f1_op, "f1_opd": scores.f1_opd}


# --------------------------------------------------------------------------- output
NOTES = {
    "difference": ("largest difference", ".1e"),
    "equal_slots": ("equal slots", ".2%"),
    "f1_op": ("F1_op", ".4f"),
    "f1_opd": ("F1_opd", ".4f"),
}


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    print(
        f"{'':9}{'':27}{'wall s':>8}{'CPU s':>8}{'ratio':>7}{'of CPU':>7}{'tokens':>8}"
        f"{'tok/CPU s':>10}{'peak MB':>9}{'over load':>10}  against plain"
    )
    for row in rows:
        notes = [
            f"{label} {row[name]:{form}}" for name, (label, form) in NOTES.items() if name in row
        ]
        print(
            f"{row['quantity']:9}{row['way']:27}{row['wall_s']:8.2f}{row['cpu_s']:8.2f}"
            f"{row['ratio_wall']:7.2f}{row['ratio_cpu']:7.2f}{row['tokens']:8d}"
            f"{row['tokens_per_cpu_s']:10.0f}{row['peak_mb']:9.0f}{row['over_loaded_mb']:10.0f}"
            f"  {', '.join(notes)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, help="an artifact of tokenise_songs")
    parser.add_argument("--vae", type=Path, help="trained weights; random ones if left out")
    parser.add_argument("--songs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--only", choices=list(WAYS), help="one quantity")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for quantity in [arguments.only] if arguments.only else WAYS:
        rows += measure(quantity, arguments)
    weights = arguments.vae or "random, of the paper's architecture"
    print(f"{arguments.threads} threads, {arguments.songs} songs, weights: {weights}")
    print_rows(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
