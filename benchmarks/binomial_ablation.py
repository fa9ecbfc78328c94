"""Settings of binomial diffusion, each trained for the same processor seconds on one thread.

python benchmarks/binomial_ablation.py ROLLS [--seconds N] [--bars N] [--only NAME ...] [--json F]

ROLLS is the folder of an artifact of `collect_rolls`. Processor
seconds of the training steps count, not those of a clock, so that what else the machine does
changes nothing. Judged on held-out segments by the cross-entropy of a cell, the variational bound
in nats a bar (which alone compares noises of different density and schedule) and the cross-entropy
where the melody is known, and by features of drawn segments beside real ones.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phrase_models.binomial.config import (
    BinomialSamplerConfig,
    NoiseConfig,
    ObjectiveConfig,
    TimeNetworkConfig,
    UNetConfig,
)
from phrase_models.binomial.dataset import RollDataset, held_out_segments, read_dataset
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.rolls import roll_to_song
from phrase_models.binomial.sampling import RollRequest, draw_rolls
from phrase_models.binomial.training import BinomialTraining
from phrase_models.metrics.song_features import (
    groove_consistency,
    in_scale_rate,
    note_density,
    pitch_range,
    polyphony,
)
from phrase_models.score.song import Song
from phrase_models.training.config import TrainingConfig
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.loop import TrainingRun
from phrase_models.training.specification import HardwareConfig

NUM_DRAWN = 24
FEATURES = (in_scale_rate, note_density, polyphony, groove_consistency, pitch_range)
SMALL_UNET = UNetConfig(dim=16, multipliers=(1, 2, 4))
VARIANTS: dict[str, dict[str, Any]] = {
    "time network, bce, density a pitch, linear": {},
    "without the local correction": {"network": TimeNetworkConfig(local_dim=0)},
    "density one number": {"noise": NoiseConfig(density="number")},
    "cosine schedule": {"noise": NoiseConfig(schedule="cosine")},
    "l1": {"objective": ObjectiveConfig(loss="l1")},
    "small unet2d": {"network": SMALL_UNET},
}


def train(dataset: RollDataset, variant: dict[str, Any], seconds: float) -> BinomialTraining:
    """Train for some processor seconds; the averaged weights are in the model."""
    model = BinomialDiffusion.for_dataset(
        dataset,
        variant.get("noise", NoiseConfig()),
        variant.get("network", TimeNetworkConfig()),
        variant.get("objective", ObjectiveConfig()),
        seed=0,
    )
    config = TrainingConfig(
        num_steps=1_000_000,
        batch_size=8,
        learning_rate=1e-3,
        warmup_steps=20,
        schedule="constant",
        ema_decay=0.98,
        validate_every=1_000_000,
        checkpoint_every=1_000_000,
        precision="bf16",
    )
    trainable = BinomialTraining(model, dataset, config)
    with tempfile.TemporaryDirectory() as state:
        run = TrainingRun(trainable, config, Path(state))
        started = time.process_time()
        while time.process_time() - started < seconds:
            run.train_step()
        assert run.average is not None
        with torch.no_grad():
            for name, parameter in model.network.named_parameters():
                parameter.copy_(run.average.weights[name])
    model.network.eval()
    trainable.steps = run.step  # type: ignore[attr-defined]
    return trainable


def features(songs: Sequence[Song]) -> dict[str, float]:
    """Mean of each feature over the songs where it is defined."""
    return {f.__name__: float(np.nanmean([f(song) for song in songs])) for f in FEATURES}


def real_songs(dataset: RollDataset) -> Iterator[Song]:
    """Held-out segments as songs."""
    for song, first in held_out_segments(dataset, NUM_DRAWN):
        roll = dataset.roll(song, first, dataset.config.segment_bars)
        yield roll_to_song(roll, dataset.config)[0]


def drawn_songs(model: BinomialDiffusion, name: str) -> list[Song]:
    """Segments from noise; those of "l1" by the sampler of the reference."""
    sampler = BinomialSamplerConfig(
        precision="bf16", sampler="released" if name.startswith("l1") else "posterior"
    )
    requests = [RollRequest(model.config.roll.segment_bars)] * NUM_DRAWN
    rolls = draw_rolls(model, requests, 0, sampler)
    return [roll_to_song(roll, model.config.roll)[0] for roll in rolls]


def measure(dataset: RollDataset, name: str, seconds: float) -> dict[str, float]:
    """Train and judge one variant."""
    trainable = train(dataset, VARIANTS[name], seconds)
    figures = trainable.validate()
    figures.pop("score")
    figures["steps"] = trainable.steps  # type: ignore[attr-defined]
    started = time.process_time()
    songs = drawn_songs(trainable.model, name)
    figures["drawing_seconds"] = (time.process_time() - started) / NUM_DRAWN
    return figures | features(songs)


def main() -> None:
    """Measure, print a line a variant, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rolls", type=Path)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--bars", type=int, default=24, help="of a segment")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    prepare_torch(HardwareConfig())
    dataset = read_dataset(arguments.rolls)
    shorter = dataset.config.model_copy(update={"segment_bars": arguments.bars})
    dataset = replace(dataset, config=shorter)
    results: dict[str, dict[str, float]] = {"real": features(list(real_songs(dataset)))}
    for name in ["real", *arguments.only]:
        if name not in results:
            results[name] = measure(dataset, name, arguments.seconds)
        shown = {k: round(v, 5 if "bce" in k else 3) for k, v in results[name].items()}
        print(name, {k: v for k, v in shown.items() if not math.isnan(v)}, flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
