"""A PhraseLDM as a folder: `model.safetensors`, `config.json`, `normalizer.json` and its plans.

The plans are in `length_prior.json`; where the training songs have form, chords or texture, the
files of `plan_arrays` lie beside it, their rows in the order of the plans, and
`empty_slot_latents.npy` and `bar_lines.json`.
"""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, RootModel

from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.model import PhraseLDM, PhraseLDMConfig
from phrase_models.diffusion.plan import SongPlan, check_vocabulary, plan_from_layout
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.errors import ConfigurationError
from phrase_models.form.bar_lines import BAR_LINES_FILE, read_bar_lines
from phrase_models.model_files import (
    read_array,
    read_json_as,
    read_model_description,
    shown,
    unusable,
)
from phrase_models.normalizer import read_normalizer
from phrase_models.tokens.song_layout import slots_per_bar
from phrase_models.training.weights import load_module, module_weights, save_weights
from phrase_models.whole_files import write_whole_json

FORMAT_VERSION = 1
LONGEST_PLAN = 4096
"""Bars of a training song, and letters of its layout."""
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
PLANS_FILE, NORMALIZER_FILE = "length_prior.json", "normalizer.json"
EMPTY_SLOTS_FILE = "empty_slot_latents.npy"


def save_ldm(model: PhraseLDM, folder: Path) -> None:
    """Write a model into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(module_weights(model.denoiser), folder / WEIGHTS_FILE)
    model.normalizer.write(folder / NORMALIZER_FILE)
    prior = [
        {"num_bars": plan.num_bars, "section_layout": plan.section_layout}
        for plan in model.length_prior
    ]
    write_whole_json(folder / PLANS_FILE, prior, indent=1)
    PlanArrays.of_plans(model.length_prior).write(folder)
    if model.empty_slot_latents is not None:
        np.save(folder / EMPTY_SLOTS_FILE, model.empty_slot_latents)
    if model.bar_lines is not None:
        model.bar_lines.write(folder / BAR_LINES_FILE)
    description = {
        "class": "PhraseLDM",
        "format_version": FORMAT_VERSION,
        "config": model.config.model_dump(),
    }
    write_whole_json(folder / CONFIG_FILE, description, indent=1)


def load_ldm(folder: Path) -> PhraseLDM:
    """Read what `save_ldm` wrote, in eval mode on the CPU.

    Raises:
        ConfigurationError: if there is no model or a damaged one, or one of a newer format.
    """
    file = read_model_description(folder / CONFIG_FILE, "PhraseLDM", "PhraseLDM", FORMAT_VERSION)
    config = file.part("config", PhraseLDMConfig)
    slots, latent_dim = config.slots_per_bar, config.latent_dim
    if slots != slots_per_bar(config.layout):
        words = f"config.slots_per_bar is not that of the layout {config.layout}"
        raise unusable(file.path, words)
    empty, lines = folder / EMPTY_SLOTS_FILE, folder / BAR_LINES_FILE
    return PhraseLDM(
        config,
        read_normalizer(folder / NORMALIZER_FILE, slots, latent_dim),
        _read_plans(folder, config),
        read_array(empty, "float32", (slots, latent_dim)) if empty.exists() else None,
        denoiser=load_module(
            lambda: Denoiser(config.denoiser, slots, latent_dim), folder / WEIGHTS_FILE
        ).eval(),
        bar_lines=read_bar_lines(lines, slots) if lines.exists() else None,
    )


class KnownLength(BaseModel):
    """Length and layout of a training song."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_bars: int = Field(ge=1, le=LONGEST_PLAN)
    section_layout: str | None = Field(max_length=LONGEST_PLAN)


class LengthPriorFile(RootModel[list[KnownLength]]):
    """What `length_prior.json` holds."""


def _read_plans(folder: Path, config: PhraseLDMConfig) -> list[SongPlan]:
    path, arrays = folder / PLANS_FILE, PlanArrays.read(folder)
    first_bar, plans = 0, []
    for index, entry in enumerate(read_json_as(path, LengthPriorFile).root):
        try:
            plan = plan_from_layout(entry.section_layout, entry.num_bars)
            plans.append(arrays.complete(plan, first_bar))
            check_vocabulary(plans[-1], config.slots_per_bar, config.denoiser.num_chords)
        except ConfigurationError as error:
            raise unusable(path, f"its plan {index} does not do ({shown(error)})") from error
        first_bar += entry.num_bars
    return plans
