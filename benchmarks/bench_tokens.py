"""Songs tokenised a second: from songs in memory, and from MIDI files.

python benchmarks/bench_tokens.py FOLDER_OF_ALIGNED_MIDI [--repeat N]
"""

import argparse
import time
from pathlib import Path

from phrase_models.score.midi import read_midi
from phrase_models.tokens.remiz import encode
from phrase_models.tokens.song_layout import song_to_bars


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.rglob("*.mid"))
    best = {"reading MIDI": float("inf"), "tokenising": float("inf")}
    num_tokens = 0
    for _ in range(arguments.repeat):
        start = time.perf_counter()
        songs = [read_midi(path) for path in paths]
        middle = time.perf_counter()
        num_tokens = sum(
            len(encode(phrase)) for song in songs for bar in song_to_bars(song) for phrase in bar
        )
        end = time.perf_counter()
        best["reading MIDI"] = min(best["reading MIDI"], middle - start)
        best["tokenising"] = min(best["tokenising"], end - middle)
    print(f"{len(paths)} songs, {num_tokens} tokens, best of {arguments.repeat}, one thread")
    print(f"from notes      {len(paths) / best['tokenising']:8.1f} songs/s")
    print(f"with MIDI read  {len(paths) / sum(best.values()):8.1f} songs/s")


if __name__ == "__main__":
    main()
