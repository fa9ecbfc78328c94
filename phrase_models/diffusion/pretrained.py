"""A PhraseLDM as a folder: `model.safetensors`, `config.json`, `normalizer.json` and its plans.

The plans are in `length_prior.json`; where the training songs have form and chords, the files of
`plan_arrays` lie beside it, their rows in the order of the plans, and `empty_slot_latents.npy`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from phrase_models.diffusion.model import PhraseLDM, PhraseLDMConfig
from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.errors import ConfigurationError
from phrase_models.normalizer import read_normalizer
from phrase_models.training.checkpoint import load_weights, module_weights, save_weights

FORMAT_VERSION = 1
EMPTY_SLOTS_FILE = "empty_slot_latents.npy"


def save_ldm(model: PhraseLDM, folder: Path) -> None:
    """Write a model into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(module_weights(model.denoiser), folder / "model.safetensors")
    model.normalizer.write(folder / "normalizer.json")
    prior = [
        {"num_bars": plan.num_bars, "section_layout": plan.section_layout}
        for plan in model.length_prior
    ]
    _write_json(folder / "length_prior.json", prior)
    PlanArrays.of_plans(model.length_prior).write(folder)
    if model.empty_slot_latents is not None:
        np.save(folder / EMPTY_SLOTS_FILE, model.empty_slot_latents)
    description = {
        "class": "PhraseLDM",
        "format_version": FORMAT_VERSION,
        "config": model.config.model_dump(),
    }
    _write_json(folder / "config.json", description)


def load_ldm(folder: Path) -> PhraseLDM:
    """Read what `save_ldm` wrote, in eval mode on the CPU.

    Raises:
        ConfigurationError: if there is no model, or one of a newer format.
    """
    if not (folder / "config.json").exists():
        message = f"There is no PhraseLDM in {folder}; train one or name another folder."
        raise ConfigurationError(message)
    description = json.loads((folder / "config.json").read_text())
    found = description["format_version"]
    if found > FORMAT_VERSION:
        message = (
            f"The model in {folder} has format {found}, this program reads up to "
            f"{FORMAT_VERSION}; update the program."
        )
        raise ConfigurationError(message)
    config = PhraseLDMConfig.model_validate(description["config"])
    empty = folder / EMPTY_SLOTS_FILE
    model = PhraseLDM(
        config,
        read_normalizer(folder / "normalizer.json"),
        _read_plans(folder),
        np.load(empty) if empty.exists() else None,
    )
    load_weights(model.denoiser, folder / "model.safetensors")
    model.denoiser.eval()
    return model


def _read_plans(folder: Path) -> list[SongPlan]:
    arrays, first_bar, plans = PlanArrays.read(folder), 0, []
    for entry in json.loads((folder / "length_prior.json").read_text()):
        plan = plan_from_layout(entry["section_layout"], entry["num_bars"])
        plans.append(arrays.complete(plan, first_bar))
        first_bar += plan.num_bars or 0
    return plans


def _write_json(path: Path, value: Any) -> None:
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(value, indent=1))
    aside.replace(path)
