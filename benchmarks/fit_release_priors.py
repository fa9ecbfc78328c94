"""Priors of plans for a release that was written without any, fitted to its own training plans.

    python -m benchmarks.fit_release_priors RELEASE

RELEASE is a folder of `assemble_release`; `ldm/priors.json` is written into it.
"""

import sys
import time
from pathlib import Path

from phrase_models.diffusion.pretrained import load_ldm
from phrase_models.form.plan_priors import PRIORS_FILE
from phrase_models.phrase_ldm import LDM_FOLDER
from tasks.reports.ldm_release import write_priors


def main(release: Path) -> None:
    folder, started = release / LDM_FOLDER, time.perf_counter()
    if not write_priors(load_ldm(folder), folder):
        sys.exit(f"The songs that {release} was trained on have no sections with forms.")
    size = (folder / PRIORS_FILE).stat().st_size
    print(f"{folder / PRIORS_FILE}: {size:,} bytes, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
