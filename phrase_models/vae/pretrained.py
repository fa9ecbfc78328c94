"""A PhraseVAE as a folder: `model.safetensors`, and `config.json` with its vocabulary."""

import json
from pathlib import Path

from phrase_models.errors import ConfigurationError
from phrase_models.tokens import vocabulary
from phrase_models.training.checkpoint import load_weights, module_weights, save_weights
from phrase_models.vae.config import VAEConfig, VAEStage
from phrase_models.vae.model import PhraseVAE

FORMAT_VERSION = 1


def save_vae(vae: PhraseVAE, stage: VAEStage, folder: Path) -> None:
    """Write weights and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(module_weights(vae), folder / "model.safetensors")
    description = {
        "class": "PhraseVAE",
        "format_version": FORMAT_VERSION,
        "stage": stage,
        "config": vae.config.model_dump(),
        "vocabulary": vocabulary.describe(),
    }
    (folder / "config.json").write_text(json.dumps(description, indent=1))


def load_vae(folder: Path) -> PhraseVAE:
    """Read what `save_vae` wrote, in eval mode on the CPU.

    Raises:
        ConfigurationError: if the folder is of a newer format or another vocabulary.
    """
    description = json.loads((folder / "config.json").read_text())
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
    vae = PhraseVAE(VAEConfig.model_validate(description["config"]))
    load_weights(vae, folder / "model.safetensors")
    return vae.eval()
