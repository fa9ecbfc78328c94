"""A PhraseVAE as a folder: `model.safetensors`, and `config.json` with its vocabulary."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from phrase_models.errors import ConfigurationError
from phrase_models.tokens import vocabulary
from phrase_models.training.checkpoint import load_weights, module_weights, save_weights
from phrase_models.vae.config import FINISHED_PHASES, VAEConfig, VAEPhase
from phrase_models.vae.model import PhraseVAE

FORMAT_VERSION = 1
LATENT_PARTS = ("bottleneck_norm", "to_posterior", "from_latent")
"""Parts that no phase before "vae" trains."""
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def save_vae(vae: PhraseVAE, phase: VAEPhase, folder: Path) -> None:
    """Write weights, in the precision they have, and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(module_weights(vae), folder / WEIGHTS_FILE)
    description = {
        "class": "PhraseVAE",
        "format_version": FORMAT_VERSION,
        "phase": phase,
        "config": vae.config.model_dump(),
        "vocabulary": vocabulary.describe(),
    }
    (folder / CONFIG_FILE).write_text(json.dumps(description, indent=1))


def start_from(vae: PhraseVAE, folder: Path) -> None:
    """Take over what an earlier training left; the parts it did not use stay as initialised.

    So do the parts around the latent where that is of another size: a VAE with fewer numbers may
    start from one with more. Logits from a table of their own begin with the embedding where the
    earlier training had but that.

    Raises:
        ValueError: if another part is missing or of another shape.
    """
    weights = load_file(folder / WEIGHTS_FILE)
    if phase_of(folder) not in FINISHED_PHASES or not _same_latent(vae, weights):
        weights = {
            name: tensor for name, tensor in weights.items() if not name.startswith(LATENT_PARTS)
        }
    _take_over(vae, folder, weights, optional=(*LATENT_PARTS, "single_query"))


def start_decoder_from(vae: PhraseVAE, folder: Path | None) -> None:
    """Take over a finished VAE, whose decoder is to be tuned.

    Raises:
        ConfigurationError: if there is none to start from, or it is not finished, or its latent is
            of another size.
        ValueError: if another part of it is missing or of another shape.
    """
    if folder is None or phase_of(folder) not in FINISHED_PHASES:
        message = (
            "The decoder is tuned on a finished PhraseVAE; name the outcome of the phase 'vae' as "
            f"what it starts from, not {folder or 'nothing'}."
        )
        raise ConfigurationError(message)
    weights = load_file(folder / WEIGHTS_FILE)
    if not _same_latent(vae, weights):
        message = (
            f"The PhraseVAE in {folder} has a latent of another size than the decoder to be tuned; "
            "give both phases one architecture."
        )
        raise ConfigurationError(message)
    _take_over(vae, folder, weights, optional=("noise_level",))


def _same_latent(vae: PhraseVAE, weights: Mapping[str, Tensor]) -> bool:
    """Whether the parts around the latent have the names and shapes that the VAE needs."""
    return all(
        name in weights and weights[name].shape == tensor.shape
        for name, tensor in vae.state_dict().items()
        if name.startswith(LATENT_PARTS)
    )


def _take_over(
    vae: PhraseVAE, folder: Path, weights: dict[str, Tensor], optional: tuple[str, ...]
) -> None:
    if vae.output is not None:
        weights.setdefault("output.weight", weights["embedding.weight"])
    missing = vae.load_state_dict(weights, strict=False).missing_keys
    lost = [name for name in missing if not name.startswith(optional)]
    if lost:
        message = f"The phase in {folder} left no weights for {', '.join(lost)}."
        raise ValueError(message)


def phase_of(folder: Path) -> VAEPhase:
    """The training phase that wrote a folder."""
    phase: VAEPhase = read_description(folder)["phase"]
    return phase


def load_vae(folder: Path) -> PhraseVAE:
    """Read what `save_vae` wrote, in eval mode on the CPU.

    Weights become fp32, in whatever precision they were written.

    Raises:
        ConfigurationError: if the folder holds no model or a damaged one, or one of a newer format
            or another vocabulary.
    """
    description = read_description(folder)
    found = description["format_version"]
    if found > FORMAT_VERSION:
        message = (
            f"The model in {folder} has format {found}, this program reads up to {FORMAT_VERSION}; "
            "update the program."
        )
        raise ConfigurationError(message)
    if description["vocabulary"] != vocabulary.describe():
        message = (
            f"The model in {folder} was trained on another vocabulary "
            f"(version {description['vocabulary']['version']}); train it again."
        )
        raise ConfigurationError(message)
    try:
        vae = PhraseVAE(VAEConfig.model_validate(description["config"]))
    except ValidationError as error:
        raise _damaged(folder / CONFIG_FILE) from error
    path = folder / WEIGHTS_FILE
    try:
        load_weights(vae, path)
    except FileNotFoundError as error:
        raise _no_model(folder, WEIGHTS_FILE) from error
    except (SafetensorError, RuntimeError) as error:  # RuntimeError: names or shapes differ
        raise _damaged(path) from error
    return vae.eval()


def read_description(folder: Path) -> dict[str, Any]:
    """What `config.json` says of a PhraseVAE, unchecked but for its outline.

    Raises:
        ConfigurationError: if there is none, or it describes something else.
    """
    path = folder / CONFIG_FILE
    try:
        description = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_model(folder, CONFIG_FILE) from error
    except ValueError as error:
        raise _damaged(path) from error
    if isinstance(description, dict) and "stage" in description:
        description["phase"] = description.pop("stage")  # what earlier versions called it
    names = {"class", "format_version", "phase", "config", "vocabulary"}
    if not isinstance(description, dict) or not names <= description.keys():
        raise _damaged(path)
    if description["class"] != "PhraseVAE":
        message = f"The model in {folder} is no PhraseVAE but a {description['class']}."
        raise ConfigurationError(message)
    return description


def _no_model(folder: Path, missing: str) -> ConfigurationError:
    return ConfigurationError(f"There is no PhraseVAE in {folder}: it has no {missing}.")


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is damaged or of another model; copy the whole folder of the PhraseVAE again."
    )
