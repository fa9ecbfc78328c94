"""A release of models that were trained outside the pipeline.

    python -m benchmarks.assemble_release VAE LDM OUTPUT --card FILE [--sampler FILE]

VAE and LDM are folders of the two models, OUTPUT is the folder of the release, the card is its
README. The sampler is a JSON file of `SamplerConfig`: how songs are drawn by default.
"""

import argparse
from pathlib import Path

from phrase_models.diffusion.sampler_config import SamplerConfig
from tasks.reports.ldm_release import assemble_release
from tasks.reports.release import check_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("vae", "ldm", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--sampler", type=Path)
    parser.add_argument("--precision", default="bf16")
    chosen = parser.parse_args()
    sampler = None
    if chosen.sampler is not None:
        sampler = SamplerConfig.model_validate_json(chosen.sampler.read_text())
    print(
        assemble_release(
            chosen.vae,
            chosen.ldm,
            chosen.card.read_text(encoding="utf-8"),
            chosen.output,
            precision=check_precision(chosen.precision),
            sampler=sampler,
        )
    )


if __name__ == "__main__":
    main()
