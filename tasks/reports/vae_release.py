"""A trained PhraseVAE of a store as a folder to give away."""

import shutil
from pathlib import Path
from secrets import token_hex
from typing import Literal, get_args

import torch

from phrase_models.errors import ConfigurationError
from phrase_models.vae.pretrained import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    load_vae,
    read_description,
    save_vae,
    stage_of,
)
from storage.artifacts import ArtifactStore
from storage.writing import exchange_folder, translate_disk_errors
from tasks.reports.model_card import Weights, model_card
from tasks.reports.provenance import newest_vae, provenance_of

Precision = Literal["bf16", "fp32"]
DTYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}
CARD_FILE = "README.md"
RELEASE_FILES = frozenset({WEIGHTS_FILE, CONFIG_FILE, CARD_FILE})


def check_precision(name: str) -> Precision:
    """A precision by name.

    Raises:
        ConfigurationError: for any other name.
    """
    for precision in get_args(Precision):
        if name == precision:
            return precision
    message = f"There is no precision {name!r}; there are {', '.join(get_args(Precision))}."
    raise ConfigurationError(message)


def export_vae(store: Path, folder: Path, precision: Precision) -> str:
    """Write the newest PhraseVAE of a store (see `newest_vae`) as a release folder.

    Args:
        store: folder of the store.
        folder: gets `model.safetensors`, `config.json` and the card `README.md`, all at once; an
            earlier release in it is replaced.
        precision: of the weights on disk.

    Returns:
        What was written, as a sentence.

    Raises:
        ConfigurationError: if the folder holds anything but a release.
        StorageError: if the store holds no PhraseVAE, or a damaged one.
    """
    check_release_folder(folder)
    artifacts = ArtifactStore(store)
    ref = newest_vae(artifacts)
    vae = load_vae(ref.folder)
    weights = Weights(sum(parameter.numel() for parameter in vae.parameters()), precision)
    card = model_card(provenance_of(artifacts, ref), weights)
    place = folder.resolve()
    aside = place.with_name(f"{place.name}.{token_hex(4)}.tmp")
    old = aside.with_suffix(".old")
    with translate_disk_errors(folder):
        try:
            save_vae(vae.to(DTYPES[precision]), stage_of(ref.folder), aside)
            (aside / WEIGHTS_FILE).chmod(0o644)  # to be read by whoever gets it
            (aside / CARD_FILE).write_text(card, encoding="utf-8")
            exchange_folder(aside, place, aside=old)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    size = (place / WEIGHTS_FILE).stat().st_size / 1e6
    return (
        f"Wrote {folder}: PhraseVAE {ref.stage}/{ref.folder.name}, {weights.count:,} weights in "
        f"{precision}, {size:.1f} MB"
    )


def check_release_folder(folder: Path) -> None:
    """See that a release may be written to a folder: it is new, empty, or an earlier release.

    Raises:
        ConfigurationError: if it is a file, or holds anything else.
        NotWritable: if it may not be read.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        message = f"{folder} is a file; name a folder for the release."
        raise ConfigurationError(message)
    with translate_disk_errors(folder):
        names = {path.name for path in folder.iterdir()}
    if names and not (names <= RELEASE_FILES and _describes_vae(folder)):
        stranger = min(names - RELEASE_FILES, default=min(names))
        message = (
            f"{folder} holds {stranger} and is no release of a PhraseVAE; choose another folder, "
            "or empty this one."
        )
        raise ConfigurationError(message)


def _describes_vae(folder: Path) -> bool:
    try:
        read_description(folder)
    except ConfigurationError:
        return False
    return True
