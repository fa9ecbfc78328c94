"""A whole song of 128 bars, and a training step of the denoiser, against the plain way.

python benchmarks/bench_songs.py [--release FOLDER] [--threads N] [--repeat N] [--json FILE]

The plain way (`plain_songs.py`) is the paper's: 512 slots, 1000 DDPM steps, fp32 at the default
matmul precision, decoding by `generate` until the longest phrase ends. Its weights are random, and
each of its phrases ends after as many tokens as the phrase of our song has. Ours is the program's
own way with the release: latents of 128 bars, guided, then phrases under the grammar. A training
step is one of preset `paper` on eight songs of 512 slots, the network of the same shape.
Every way runs in a process of its own, one after another; times are the best of the repetitions,
but the plain song is sampled once. "together" draws songs in batches: seconds a song, and how far
latents and tokens lie from those of each song alone.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from bench_vae import make_vae, peak_mb

LAYOUT = "i8 A16 B16 x8 A16 B16 b16 A16 o16"
NUM_BARS = 128
TRAINING_BATCH, TRAINING_STEPS = 8, 2
TOGETHER = (1, 2, 4, 8)
NUM_TOGETHER = 8
PLAIN, OURS = "highest", "medium"
"""Precision of fp32 products; the second lets oneDNN do them, as exactly, and quicker."""


def timed(run: Callable[[], Any], repeat: int = 1) -> tuple[float, Any]:
    """Best of the seconds, and what the last run returned."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


class OurSongs:
    """Songs of the release by one layout."""

    def __init__(self, release: Path, precision: str) -> None:
        from phrase_models.diffusion.plan import plan_from_layout
        from phrase_models.phrase_ldm import PhraseLDMGenerator, release_sampler

        sampler = release_sampler(release).model_copy(update={"precision": precision})
        self.generator = PhraseLDMGenerator.from_pretrained(release, sampler)
        self.generator.codec.precision = precision
        self.plan = plan_from_layout(LAYOUT)

    def sample(self, number: int, batch_size: int = 1) -> list[Any]:
        """Latents of the first songs of seed 0."""
        from phrase_models.diffusion.sampling import draw_songs

        plans = [self.plan] * number
        return draw_songs(
            self.generator.model,
            plans,
            0,
            self.generator.sampler,
            batch_size=batch_size,
            reencode=self.generator.codec.reencode_songs,
        )

    def decode(self, latents: list[Any]) -> list[Any]:
        """Slots of songs."""
        songs = self.generator.codec.decode_songs(
            latents,
            [{"song_id": "song"}] * len(latents),
            self.generator.decoding,
        )
        return [song.slots for song in songs]


def our_song(arguments: argparse.Namespace, precision: str) -> dict[str, Any]:
    songs = OurSongs(arguments.release, precision)
    songs.decode(songs.sample(1))  # warms up
    sampling, latents = timed(lambda: songs.sample(1), arguments.repeat)
    decoding, (slots,) = timed(lambda: songs.decode(latents), arguments.repeat)
    lengths = [len(phrase) for bar in slots for phrase in (*bar, [0])]
    return {"sampling": sampling, "decoding": decoding, "lengths": lengths}


def plain_song(arguments: argparse.Namespace, lengths: list[int]) -> dict[str, Any]:
    from plain_songs import PlainSongs, decode_plainly
    from plain_t5 import PlainPhraseVAE

    songs, vae = PlainSongs(), PlainPhraseVAE(make_vae(None)).eval()
    sampling, latents = timed(songs.sample)
    decoding, _ = timed(lambda: decode_plainly(vae, latents, lengths), arguments.repeat)
    return {"sampling": sampling, "decoding": decoding}


def plain_training(arguments: argparse.Namespace) -> dict[str, Any]:
    from plain_songs import PlainSongs

    songs = PlainSongs()
    songs.train(1, TRAINING_BATCH)
    seconds, _ = timed(lambda: songs.train(TRAINING_STEPS, TRAINING_BATCH), arguments.repeat)
    return {"step": seconds / TRAINING_STEPS}


def our_training(arguments: argparse.Namespace, precision: str) -> dict[str, Any]:
    from phrase_models.diffusion.dataset import LatentDataset, LatentSong
    from phrase_models.diffusion.model import PhraseLDM
    from phrase_models.diffusion.plan import plan_from_layout
    from phrase_models.diffusion.training import DiffusionTraining
    from phrase_models.training.loop import TrainingRun
    from tasks.settings.presets import load_preset

    preset = load_preset("paper")
    rng = np.random.default_rng(0)
    songs = tuple(
        LatentSong(
            str(number),
            "train",
            rng.standard_normal((NUM_BARS, 4, 64)).astype(np.float32),
            plan_from_layout(LAYOUT),
        )
        for number in range(TRAINING_BATCH)
    )
    dataset = LatentDataset(songs, "pitch_order", 4, 64, np.zeros(64, np.float32))
    model = PhraseLDM.for_dataset(dataset, preset.denoiser, preset.noise_schedule, seed=0)
    config = preset.diffusion.model_copy(
        update={
            "batch_size": TRAINING_BATCH,
            "precision": precision,
            "validate_every": 10**6,
            "checkpoint_every": 10**6,
        }
    )
    training = DiffusionTraining(model, dataset, config)
    run = TrainingRun(training, config, Path(tempfile.mkdtemp()))

    def steps() -> None:
        for _ in range(TRAINING_STEPS):
            run.train_step()

    steps()
    seconds, _ = timed(steps, arguments.repeat)
    return {"step": seconds / TRAINING_STEPS}


def together(arguments: argparse.Namespace) -> dict[str, Any]:
    songs = OurSongs(arguments.release, "bf16")
    songs.decode(songs.sample(1))
    rows: dict[str, Any] = {}
    alone: list[Any] = []
    tokens: list[Any] = []
    for size in TOGETHER:
        seconds, latents = timed(lambda size=size: songs.sample(NUM_TOGETHER, size))
        starts = range(0, NUM_TOGETHER, size)
        decoding, parts = timed(
            lambda starts=starts, size=size, latents=latents: [
                songs.decode(latents[k : k + size]) for k in starts
            ]
        )
        slots = [song for part in parts for song in part]
        alone, tokens = alone or latents, tokens or slots
        gaps = [np.abs(a - b).max() for a, b in zip(latents, alone, strict=True)]
        phrases = [
            ours == theirs
            for song, other in zip(slots, tokens, strict=True)
            for bar, twin in zip(song, other, strict=True)
            for ours, theirs in zip(bar, twin, strict=True)
        ]
        rows[str(size)] = {
            "sampling": seconds / NUM_TOGETHER,
            "decoding": decoding / NUM_TOGETHER,
            "largest_difference": float(max(gaps)),
            "equal_phrases": float(np.mean(phrases)),
        }
    return rows


def _serve(connection: Connection, products: str, work: Callable[..., Any], *given: Any) -> None:
    import torch

    torch.set_num_threads(given[0].threads)
    torch.set_float32_matmul_precision(products)
    connection.send({**work(*given), "peak_mb": peak_mb()})


def in_own_process(products: str, work: Callable[..., Any], *given: Any) -> dict[str, Any]:
    """What a way measures, and its largest memory."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, products, work, *given))
    process.start()
    there.close()  # or a process that fails would be waited for
    result = here.recv()
    process.join()
    return result


def main() -> None:
    """All of it, one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, default=Path("releases/phraseldm-pop909"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for precision in ("fp32", "bf16"):
        found[f"song, {precision}"] = in_own_process(OURS, our_song, arguments, precision)
        found[f"training, {precision}"] = in_own_process(OURS, our_training, arguments, precision)
    lengths = found["song, bf16"].pop("lengths")
    found["song, fp32"].pop("lengths")
    found["training, plain"] = in_own_process(PLAIN, plain_training, arguments)
    found["together"] = in_own_process(OURS, together, arguments)
    found["song, plain"] = in_own_process(PLAIN, plain_song, arguments, lengths)
    plain = found["song, plain"]
    for precision in ("fp32", "bf16"):
        song, step = found[f"song, {precision}"], found[f"training, {precision}"]["step"]
        ratio = (plain["sampling"] + plain["decoding"]) / (song["sampling"] + song["decoding"])
        found[f"ratios, {precision}"] = {
            "song": ratio,
            "training": found["training, plain"]["step"] / step,
        }
    for name, row in found.items():
        print(name, json.dumps(row))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
