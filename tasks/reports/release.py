"""Trained models as folders to give away: written aside and renamed, nothing else overwritten."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Literal, get_args

import torch
from torch import nn

from phrase_models.errors import ConfigurationError
from storage.paths import FolderKind, check_new_folder
from storage.writing import exchange_folder, translate_disk_errors

Precision = Literal["bf16", "fp32"]
DTYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}
CARD_FILE = "README.md"
MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class ReleaseKind:
    """What a release of some model looks like.

    Attributes:
        name: of the model.
        may_hold: whether a file of this name, relative with slashes, belongs to such a release.
        describes: whether a folder says of itself that it is one.
        max_bytes: of all its files together, or None for no limit.
    """

    name: str
    may_hold: Callable[[str], bool]
    describes: Callable[[Path], bool]
    max_bytes: int | None = None


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


def count_weights(module: nn.Module) -> int:
    """Trained numbers of a network."""
    return sum(parameter.numel() for parameter in module.parameters())


def write_release(folder: Path, kind: ReleaseKind, fill: Callable[[Path], None]) -> int:
    """Write a release, all at once; an earlier one in the folder is replaced.

    Args:
        folder: of the release.
        kind: what it is.
        fill: writes its files into the folder it is given, which does not exist yet.

    Returns:
        Bytes of all files together.

    Raises:
        ConfigurationError: if the folder holds anything but a release of that kind, or the release
            is too large.
    """
    check_release_folder(folder, kind)
    place = folder.resolve()
    aside = place.with_name(f"{place.name}.{token_hex(4)}.tmp")
    old = aside.with_suffix(".old")
    with translate_disk_errors(folder):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            fill(aside)
            files = [path for path in aside.rglob("*") if path.is_file()]
            size = sum(path.stat().st_size for path in files)
            _check_size(size, kind)
            exchange_folder(aside, place, aside=old)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return size


def _check_size(size: int, kind: ReleaseKind) -> None:
    if kind.max_bytes is not None and size > kind.max_bytes:
        message = (
            f"The release of a {kind.name} would take {size / MEBIBYTE:.1f} MiB, but it may take "
            f"{kind.max_bytes / MEBIBYTE:.0f}; write it in bf16, or release a smaller model."
        )
        raise ConfigurationError(message)


def check_release_folder(folder: Path, kind: ReleaseKind, *, force: bool = True) -> None:
    """See that a release may be written to a folder: it is new, empty, or an earlier release.

    Args:
        folder: of the release.
        kind: what it is.
        force: whether an earlier release may be replaced.

    Raises:
        ConfigurationError: if it holds anything else.
        NotWritable: if there is no place for it, or an earlier release is there and `force` is not.
    """
    with translate_disk_errors(folder):
        names = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()
        }
    strangers = {name for name in names if not kind.may_hold(name)}
    if names and (strangers or not kind.describes(folder)):
        message = (
            f"{folder} holds {min(strangers or names)} and is no release of a {kind.name}; choose "
            "another folder, or empty this one."
        )
        raise ConfigurationError(message)
    check_new_folder(folder, FolderKind("a release", kind.may_hold), force=force)
