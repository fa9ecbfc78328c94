"""A PhraseVAE as a folder: `model.safetensors`, and `config.json` with its vocabulary."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from torch import Tensor

from phrase_models.errors import ConfigurationError
from phrase_models.model_files import (
    JsonFile,
    MissingFileError,
    read_json_object,
    shown,
    unusable,
)
from phrase_models.tokens import vocabulary
from phrase_models.training.weights import (
    load_module,
    module_weights,
    read_weights,
    save_weights,
)
from phrase_models.vae.config import FINISHED_PHASES, VAEConfig, VAEPhase
from phrase_models.vae.model import PhraseVAE
from phrase_models.whole_files import write_whole_json

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
    write_whole_json(folder / CONFIG_FILE, description, indent=1)


def start_from(vae: PhraseVAE, folder: Path) -> None:
    """Take over what an earlier training left; the parts it did not use stay as initialised.

    So do the parts around the latent where that is of another size: a VAE with fewer numbers may
    start from one with more. Logits from a table of their own begin with the embedding where the
    earlier training had but that.

    Raises:
        ValueError: if another part is missing or of another shape.
    """
    weights = read_weights(folder / WEIGHTS_FILE)
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
    weights = read_weights(folder / WEIGHTS_FILE)
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
    """The training phase that wrote a folder; raises as `read_description`."""
    return read_description(folder).phase


def load_vae(folder: Path) -> PhraseVAE:
    """Read what `save_vae` wrote, in eval mode on the CPU.

    Weights become fp32, in whatever precision they were written.

    Raises:
        ConfigurationError: if the folder holds no model or a damaged one, or one of a newer format
            or another vocabulary.
    """
    config = read_description(folder).config
    with _part_of(folder, WEIGHTS_FILE):
        return load_module(lambda: PhraseVAE(config), folder / WEIGHTS_FILE).eval()


@dataclass(frozen=True, slots=True)
class VAEDescription:
    """What `config.json` says of a PhraseVAE: the phase that wrote it, and its architecture."""

    phase: VAEPhase
    config: VAEConfig


def read_description(folder: Path) -> VAEDescription:
    """What `config.json` says of a PhraseVAE, every field checked.

    Raises:
        ConfigurationError: if there is none, or a damaged one, or it describes something else, or
            is of a newer format or another vocabulary.
    """
    file = _read_outline(folder)
    file.known_format(FORMAT_VERSION)
    if file.plain.get("vocabulary") != vocabulary.describe():
        message = f"The model in {folder} was trained on another vocabulary; train it again."
        raise ConfigurationError(message)
    phase = file.plain.get("phase", file.plain.get("stage"))  # what earlier versions called it
    for known in get_args(VAEPhase):
        if phase == known:
            return VAEDescription(known, file.part("config", VAEConfig))
    raise unusable(file.path, f"phase is none of {', '.join(get_args(VAEPhase))}")


def describes_vae(folder: Path) -> bool:
    """Whether a folder says of itself that it holds a PhraseVAE, of whatever version."""
    try:
        _read_outline(folder)
    except ConfigurationError:
        return False
    return True


def _read_outline(folder: Path) -> JsonFile:
    with _part_of(folder, CONFIG_FILE):
        file = read_json_object(folder / CONFIG_FILE)
    found = file.plain.get("class")
    if found != "PhraseVAE":
        message = f"The model in {folder} is no PhraseVAE but a {shown(found)}."
        raise ConfigurationError(message)
    return file


@contextmanager
def _part_of(folder: Path, name: str) -> Iterator[None]:
    """Say of a folder without a file that it holds no model."""
    try:
        yield
    except MissingFileError as error:
        message = f"There is no PhraseVAE in {folder}: it has no {name}."
        raise ConfigurationError(message) from error
