"""Seconds until the command line answers, and of small work that must stay small.

python benchmarks/bench_startup.py [--repeat N]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from phrase_models.gallery.synthesiser import render_audio
from phrase_models.metrics.structure import bar_ssm, srs_official
from phrase_models.sources.duplicates import find_duplicate_groups
from phrase_models.sources.synthetic.composer import SyntheticConfig, compose_song

SONGS = 909
MELODY_NOTES = 300


def best(repeat: int, work: Callable[[], object]) -> float:
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(121, 4, 64))
    melodies = {f"{song:03d}": rng.integers(55, 80, MELODY_NOTES).tolist() for song in range(SONGS)}
    song = compose_song(SyntheticConfig(min_bars=96, max_bars=96), 0).song
    command = [sys.executable, "-m", "flows", "--help"]
    rows = {
        "phraseldm --help": lambda: subprocess.run(command, check=True, capture_output=True),
        "SRS of a song of 121 bars": lambda: srs_official(bar_ssm(latents)),
        f"duplicates among {SONGS} songs": lambda: find_duplicate_groups(melodies),
        f"sound of {song.num_bars} bars": lambda: render_audio(song),
    }
    print(f"best of {repeat}, seconds")
    for name, work in rows.items():
        print(f"{name:32s}{best(repeat, work):8.4f}")


if __name__ == "__main__":
    main()
