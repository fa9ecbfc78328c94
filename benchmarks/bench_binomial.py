"""Binomial diffusion against the plain way: a whole song of 128 bars, and a training step.

python benchmarks/bench_binomial.py [--model FOLDER] [--plain-steps N] [--repeat N] [--json FILE]

The plain way is the reference's: its U-Net in fp32 at the default matmul precision, one plane of 56
pitches, 100 steps, one segment of 24 bars after another. A few of its steps are taken and the rest
counted, for all are alike. Ours is the network over time, six planes of 72 pitches, 25 steps,
overlapping segments in one batch, bf16. A training step is one on eight segments, noise, known
cells, backward pass, optimiser and average included. One thread; seconds of a clock and of the
processor, the best of the repetitions.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from phrase_models.binomial.config import (
    BinomialConfig,
    BinomialSamplerConfig,
    NoiseConfig,
    ObjectiveConfig,
    RollConfig,
    UNetConfig,
)
from phrase_models.binomial.dataset import RollDataset, RollSong
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.pretrained import load_binomial
from phrase_models.binomial.rolls import pack_bars
from phrase_models.binomial.sampling import RollRequest, draw_rolls
from phrase_models.binomial.training import BinomialTraining
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import TrainingRun
from phrase_models.training.randomness import seed_everything

NUM_BARS, BATCH, PLAIN_STEPS = 128, 8, 100
REFERENCE = BinomialConfig(
    roll=RollConfig(lowest_pitch=36, num_pitches=56, voices="flattened", cells="sounding"),
    noise=NoiseConfig(density="number"),
    network=UNetConfig(),
    objective=ObjectiveConfig(loss="l1", known_share=0.0),
)


def timed(run: Callable[[], object], repeat: int) -> dict[str, float]:
    """Best seconds of a clock and of the processor."""
    clock, processor = [], []
    for _ in range(repeat):
        started, used = time.perf_counter(), time.process_time()
        run()
        clock.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    return {"clock": min(clock), "processor": min(processor)}


def model_of(config: BinomialConfig) -> BinomialDiffusion:
    """With random weights."""
    seed_everything(0, "weights")
    densities = torch.full((config.roll.num_planes, config.roll.num_pitches), 0.02)
    model = BinomialDiffusion(config, densities)
    model.network.eval()
    return model


def training_step(config: BinomialConfig, precision: str, repeat: int) -> dict[str, float]:
    """On rolls by chance, which take as long as any."""
    rng = np.random.default_rng(0)
    shape = (config.roll.num_planes, 64 * 16, config.roll.num_pitches)
    rows = pack_bars(rng.random(shape) < 0.02)
    song = RollSong(song_id="0", split="train", first_row=0, num_bars=64)
    training = TrainingConfig(
        num_steps=100, batch_size=BATCH, learning_rate=1e-4, validate_every=100,
        checkpoint_every=100, ema_decay=0.99, precision=precision,
    )  # fmt: skip
    trainable = BinomialTraining(
        model_of(config), RollDataset(config.roll, rows, (song,)), training
    )
    with tempfile.TemporaryDirectory() as state:
        run = TrainingRun(trainable, training, Path(state))
        if precision == "bf16":
            run.train_step()  # what is done once
        return timed(run.train_step, repeat)


def plain_song(num_steps: int) -> dict[str, float]:
    """A song by the reference, from some of its steps."""
    config = REFERENCE
    model = model_of(config)
    sampler = BinomialSamplerConfig(sampler="released", num_sampling_steps=num_steps)
    request = [RollRequest(config.roll.segment_bars)]
    seconds = timed(lambda: draw_rolls(model, request, 0, sampler), 1)
    factor = PLAIN_STEPS / num_steps * NUM_BARS / config.roll.segment_bars
    return {name: value * factor for name, value in seconds.items()}


def our_song(folder: Path | None, repeat: int) -> dict[str, float]:
    """A song by ours."""
    model = model_of(BinomialConfig()) if folder is None else load_binomial(folder)
    sampler = BinomialSamplerConfig(precision="bf16")
    draw_rolls(model, [RollRequest(1)], 0, sampler)  # what is done once
    return timed(lambda: draw_rolls(model, [RollRequest(NUM_BARS)], 0, sampler), repeat)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--plain-steps", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, dict[str, float]] = {}
    torch.set_float32_matmul_precision("highest")
    figures["song, plain"] = plain_song(arguments.plain_steps)
    figures["training step, plain"] = training_step(REFERENCE, "fp32", 1)
    torch.set_float32_matmul_precision("medium")
    figures["song, ours"] = our_song(arguments.model, arguments.repeat)
    figures["training step, ours"] = training_step(BinomialConfig(), "bf16", 2 * arguments.repeat)
    for what in ("song", "training step"):
        plain, ours = figures[f"{what}, plain"], figures[f"{what}, ours"]
        for unit in ("clock", "processor"):
            ratio = plain[unit] / ours[unit]
            print(f"{what}, {unit}: {plain[unit]:.2f} s, ours {ours[unit]:.2f} s, {ratio:.1f} x")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
