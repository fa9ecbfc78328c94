"""Binomial diffusion as a folder: `config.json`, `model.safetensors`, `densities.npy`.

`layouts.json` has lengths and sections of the training songs; `sampler.json`, where it is, says how
rolls are drawn by default.
"""

from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, RootModel

from phrase_models.binomial.config import BinomialConfig, BinomialSamplerConfig
from phrase_models.binomial.model import BinomialDiffusion, KnownLayout
from phrase_models.binomial.network import build_network
from phrase_models.errors import ConfigurationError
from phrase_models.model_files import (
    read_array,
    read_json_as,
    read_json_object,
    read_model_description,
    unusable,
)
from phrase_models.training.weights import load_module, module_weights, save_weights
from phrase_models.whole_files import write_whole_json

FORMAT_VERSION = 1
LONGEST_LAYOUT = 4096
"""Bars of a training song, and letters of its layout."""
CLASS_NAME = "BinomialDiffusion"
CONFIG_FILE, WEIGHTS_FILE, DENSITIES_FILE = "config.json", "model.safetensors", "densities.npy"
LAYOUTS_FILE, SAMPLER_FILE = "layouts.json", "sampler.json"


class LayoutEntry(BaseModel):
    """Length and layout of a training song."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_bars: int = Field(ge=1, le=LONGEST_LAYOUT)
    section_layout: str = Field(max_length=LONGEST_LAYOUT)


class LayoutsFile(RootModel[list[LayoutEntry]]):
    """What `layouts.json` holds."""


def save_binomial(
    model: BinomialDiffusion, folder: Path, sampler: BinomialSamplerConfig | None = None
) -> None:
    """Write a model into a folder, with the settings of a sampler where any are given."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(module_weights(model.network), folder / WEIGHTS_FILE)
    np.save(folder / DENSITIES_FILE, model.densities.numpy())
    layouts = [
        {"num_bars": layout.num_bars, "section_layout": layout.section_layout}
        for layout in model.layouts
    ]
    write_whole_json(folder / LAYOUTS_FILE, layouts)
    if sampler is not None:
        write_whole_json(folder / SAMPLER_FILE, sampler.model_dump(), indent=1)
    description = {
        "class": CLASS_NAME,
        "format_version": FORMAT_VERSION,
        "config": model.config.model_dump(),
    }
    write_whole_json(folder / CONFIG_FILE, description, indent=1)


def load_binomial(folder: Path) -> BinomialDiffusion:
    """Read what `save_binomial` wrote, in eval mode on the CPU, in fp32.

    Raises:
        ConfigurationError: if there is no model or a damaged one, or one of a newer format.
    """
    file = read_model_description(
        folder / CONFIG_FILE, CLASS_NAME, "binomial diffusion", FORMAT_VERSION
    )
    config = file.part("config", BinomialConfig)
    shape = (config.roll.num_planes, config.roll.num_pitches)
    densities = read_array(folder / DENSITIES_FILE, "float32", shape)
    if not ((densities > 0) & (densities < 1)).all():
        raise unusable(folder / DENSITIES_FILE, "a density in it is not between 0 and 1")
    layouts = read_json_as(folder / LAYOUTS_FILE, LayoutsFile).root
    network = load_module(lambda: build_network(config), folder / WEIGHTS_FILE)
    return BinomialDiffusion(
        config,
        torch.from_numpy(densities),
        [KnownLayout(entry.num_bars, entry.section_layout) for entry in layouts],
        network.eval(),
    )


def describes_binomial(folder: Path) -> bool:
    """Whether a folder says that it holds a binomial diffusion."""
    try:
        return read_json_object(folder / CONFIG_FILE).plain.get("class") == CLASS_NAME
    except ConfigurationError:
        return False


def load_sampler(folder: Path) -> BinomialSamplerConfig:
    """How rolls of a model are drawn by default.

    Raises:
        ConfigurationError: if the file that says it is damaged.
    """
    path = folder / SAMPLER_FILE
    return read_json_as(path, BinomialSamplerConfig) if path.exists() else BinomialSamplerConfig()
