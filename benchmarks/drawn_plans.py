"""Whole plans in a folder, for machines that draw songs and no plans.

    python -m benchmarks.drawn_plans FOLDER [--release RELEASE] [--plans drawn] [-n 200] [--seed 0]

The plans are those of songs 0 to n - 1 of a seed; `benchmarks.gpu_headline songs --plans FOLDER`
draws their songs, and `benchmarks.drawn_songs --npz SONGS --of FOLDER` measures them.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.form.plan_source import PlanSource
from phrase_models.generator import SongRequest
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.score.song import format_section_layout


def add_plan_options(
    parser: argparse.ArgumentParser, *, plans: PlanSource | None = "drawn", number: int = 200
) -> None:
    """Options that say whose plans, and how many of which seed."""
    parser.add_argument("--release", type=Path, default=Path("releases/phraseldm-pop909"))
    parser.add_argument("--plans", choices=get_args(PlanSource), default=plans)
    parser.add_argument("-n", "--number", type=int, default=number)
    parser.add_argument("--seed", type=int, default=0)


def whole_plans(
    generator: PhraseLDMGenerator, source: PlanSource, number: int, seed: int
) -> list[SongPlan]:
    """Plans of songs 0 to `number` - 1 of a seed that nobody asked anything of."""
    request = SongRequest(plans=source)
    return [generator.resolved(request, seed, index) for index in range(number)]


def write_plans(folder: Path, plans: Mapping[str, SongPlan]) -> None:
    """Plans by the names of their songs."""
    folder.mkdir(parents=True, exist_ok=True)
    PlanArrays.of_plans(list(plans.values())).write(folder)
    layouts = {name: format_section_layout(plan.sections) for name, plan in plans.items()}
    (folder / "layouts.json").write_text(json.dumps(layouts))


def read_plans(folder: Path) -> dict[str, SongPlan]:
    """What `write_plans` wrote."""
    arrays, plans, first = PlanArrays.read(folder), {}, 0
    for name, layout in json.loads((folder / "layouts.json").read_text()).items():
        plans[name] = arrays.complete(plan_from_layout(layout), first)
        first += plans[name].num_bars or 0
    return plans


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    add_plan_options(parser)
    arguments = parser.parse_args()
    generator = PhraseLDMGenerator.from_pretrained(arguments.release)
    plans = whole_plans(generator, arguments.plans, arguments.number, arguments.seed)
    named = {f"{arguments.seed}-{index}": plan for index, plan in enumerate(plans)}
    write_plans(arguments.folder, named)


if __name__ == "__main__":
    main()
