"""Time of a training step in one process of two threads and in two processes of one thread.

`python -m benchmarks.bench_processes --preset cpu --steps 6` trains PhraseVAE on random phrases and
the denoiser on random latents, at the sizes of the preset; each figure is the median of the steps,
the ways in turn, with the load of the machine beside it and the processor time of the first
process, which does not count what else the machine does.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_vae_step import random_table
from phrase_models.diffusion.dataset import LatentDataset, LatentSong
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.plan import plan_from_layout
from phrase_models.diffusion.training import DiffusionTraining
from phrase_models.training.config import TrainingConfig
from phrase_models.training.division import join_processes
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.local_processes import run_processes
from phrase_models.training.loop import Trainable, TrainingRun
from phrase_models.training.randomness import numpy_generator, seed_everything
from phrase_models.training.specification import HardwareConfig
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phases import build_training
from tasks.settings.presets import load_preset

LAYOUT = "i4 A8 A8 B8 x4 A8 A8 B8 B8 o4"
NUM_SONGS = 32
WARM_UP_STEPS = 2
WAYS = ((1, 2), (2, 1))
"""Processes, and threads of each."""


def vae_training(preset: Any) -> tuple[Trainable[Any], TrainingConfig]:
    section, table = preset.bottleneck, random_table()
    seed_everything(0, "bench_processes")
    vae = PhraseVAE(preset.vae)
    objective, training = section.objective, section.training
    return build_training(vae, "vae", objective, training, table, table), training


def denoiser_training(preset: Any) -> tuple[Trainable[Any], TrainingConfig]:
    plan, rng = plan_from_layout(LAYOUT), numpy_generator(0, "bench_processes")
    shape = (plan.num_bars, 3, preset.vae.latent_dim)
    songs = tuple(
        LatentSong(str(number), "train", rng.standard_normal(shape, np.float32), plan)
        for number in range(NUM_SONGS)
    )
    dataset = LatentDataset(songs, "role", 3, preset.vae.latent_dim, None)
    model = PhraseLDM.for_dataset(dataset, preset.denoiser, preset.noise_schedule, seed=0)
    return DiffusionTraining(model, dataset, preset.diffusion), preset.diffusion


TRAININGS = {"vae": vae_training, "denoiser": denoiser_training}


def measure(model: str, preset: str, threads: int, steps: int) -> None:
    """In each process: train a little; the first prints the seconds of each step."""
    hardware = HardwareConfig(num_threads=threads)
    prepare_torch(hardware)
    division = join_processes(hardware)
    trainable, training = TRAININGS[model](load_preset(preset))
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(trainable, training, Path(folder), division)
        seconds, worked = [], []
        for _ in range(WARM_UP_STEPS + steps):
            started, before = time.perf_counter(), time.process_time()
            run.train_step()
            seconds.append(time.perf_counter() - started)
            worked.append(time.process_time() - before)
        size = sum(parameter.numel() for parameter in run.module.parameters())
    if division.is_first:
        found = {"model": model, "threads": threads, "processes": division.num_processes}
        found["parameters"] = size
        for name, values in (("ms_a_step", seconds), ("processor_ms_of_the_first", worked)):
            found[name] = round(1e3 * statistics.median(values[WARM_UP_STEPS:]))
        found["load"] = round(os.getloadavg()[0], 1)
        print(json.dumps(found), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--model", choices=[*TRAININGS])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if given.model:
        measure(given.model, given.preset, given.threads, given.steps)
        return 0
    for _ in range(given.repeats):
        for model in TRAININGS:
            for processes, threads in WAYS:
                os.environ["OMP_NUM_THREADS"] = str(threads)
                command = [sys.executable, "-m", "benchmarks.bench_processes", "--model", model]
                command += ["--threads", str(threads), "--preset", given.preset]
                command += ["--steps", str(given.steps)]
                if code := run_processes(command, processes):
                    return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
