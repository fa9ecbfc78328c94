"""Priors of plans for a release that was written without any, fitted to its own training plans.

    python -m benchmarks.fit_release_priors RELEASE
    python -m benchmarks.fit_release_priors RELEASE --pack PACK

RELEASE is a folder of `assemble_release`; `ldm/priors.json` is written into it. With a pack of the
songs that it was trained on (`benchmarks.headline_pack`), `ldm/bar_lines.json` is instead.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.packed_songs import read_slots, slots_of_songs
from phrase_models.diffusion.pretrained import load_ldm
from phrase_models.form.bar_lines import BAR_LINES_FILE, ROLE_LINES, BarLines
from phrase_models.form.plan_priors import PRIORS_FILE
from phrase_models.phrase_ldm import LDM_FOLDER
from tasks.reports.ldm_release import write_priors


def fit_bar_lines(pack: Path, folder: Path) -> None:
    entries, _, _ = read_slots(pack)
    names = [entry["song_id"] for entry in entries if entry["split"] == "train"]
    size = len(ROLE_LINES)
    songs = (
        [phrases[start : start + size] for start in range(0, len(phrases), size)]
        for phrases in slots_of_songs(pack, names)
    )
    BarLines.of_songs(songs, ROLE_LINES).write(folder / BAR_LINES_FILE)
    print(f"{folder / BAR_LINES_FILE}: of {len(names)} songs")


def fit_priors(release: Path) -> None:
    folder, started = release / LDM_FOLDER, time.perf_counter()
    if not write_priors(load_ldm(folder), folder):
        sys.exit(f"The songs that {release} was trained on have no sections with forms.")
    size = (folder / PRIORS_FILE).stat().st_size
    print(f"{folder / PRIORS_FILE}: {size:,} bytes, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    parser.add_argument("--pack", type=Path)
    arguments = parser.parse_args()
    if arguments.pack:
        fit_bar_lines(arguments.pack, arguments.release / LDM_FOLDER)
    else:
        fit_priors(arguments.release)
