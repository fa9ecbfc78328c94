"""Paths that the system can have, and places where something may be written."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.errors import NotWritable, UnusablePath
from storage.writing import make_folder, translate_disk_errors

CACHE_VARIABLE = "PHRASE_LDM_CACHE"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_SPARE_BYTES = 16
"""Of the longest name that a disk takes: files are written under a longer one and renamed."""


def cache_folder() -> Path:
    """Where this machine keeps what can be had again: working stores of URLs, parsed code.

    Raises:
        UnusablePath: if none is named and the user has no home.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".cache") / "phraseldm"
    except RuntimeError as error:
        raise UnusablePath(
            f"This user has no home folder to keep things in: name a folder in {CACHE_VARIABLE}."
        ) from error


def check_local_path(path: Path) -> None:
    """See that a path is one of this computer's, there or not.

    Raises:
        UnusablePath: for an address such as s3://..., which is no folder called "s3:"; for a name
            that is too long, goes in circles, or holds a zero byte.
        NotWritable: if the system does not let us look.
    """
    if _ADDRESS.match(str(path)):
        address = str(path).replace(":/", "://", 1)  # a path has no two slashes in a row
        raise UnusablePath(
            f"{address} is an address, and only files and folders of this computer can be used; "
            "copy or mount it, and name its path."
        )
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError as error:
        raise NotWritable(
            f"{path} may not be looked at: change the permissions of the folders above it, or "
            "name another."
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnusablePath(
            f"{_start_of(path)} cannot be the path of a file or folder: {reason}; name another."
        ) from error


def _start_of(path: Path) -> str:
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text):,} characters)"


@dataclass(frozen=True, slots=True)
class FolderKind:
    """The files of one kind of output that share a folder.

    Attributes:
        content: what they are, for people, such as "songs".
        belongs: whether a file is one of them, by its path in the folder with slashes.
        subfolders: folders that hold some of them.
    """

    content: str
    belongs: Callable[[str], object]
    subfolders: tuple[str, ...] = ()

    def files_in(self, folder: Path) -> list[Path]:
        """Those that are there, in order."""
        if not folder.is_dir():
            return []
        places = [folder, *(folder / name for name in self.subfolders)]
        return sorted(
            path
            for place in places
            if place.is_dir()
            for path in place.iterdir()
            if self.belongs(path.relative_to(folder).as_posix())
        )


def check_new_file(path: Path, *, force: bool = False) -> None:
    """See that a file can be written, before the work that its content takes.

    Args:
        path: of the file.
        force: whether one that is there may be replaced.

    Raises:
        NotWritable: if a folder or a device is there, a file is and `force` is not, or the place
            cannot be written to.
        UnusablePath: as `check_local_path`.
        DiskFull: if not even an empty file has room.
    """
    check_local_path(path)
    if path.is_dir():
        raise NotWritable(f"{path} is a folder: name a file to write.")
    if path.exists() and not path.is_file():
        raise NotWritable(f"{path} is no ordinary file: name another to write.")
    if path.exists() and not force:
        raise NotWritable(
            f"{path} exists already: name another file, or replace this one with --force."
        )
    _try_out(path)


def check_new_folder(folder: Path, kind: FolderKind, *, force: bool = False) -> None:
    """See that files of a kind can be written into a folder, before the work that they take.

    Args:
        folder: there or not; what else it holds is left alone.
        kind: of the files.
        force: whether those of the kind that are there may be replaced.

    Raises:
        NotWritable: if a file is in the way, files of the kind are there and `force` is not, or
            the place cannot be written to.
        UnusablePath: as `check_local_path`.
        DiskFull: if not even an empty file has room.
    """
    check_local_path(folder)
    for place in (folder, *(folder / name for name in kind.subfolders)):
        if place.exists() and not place.is_dir():
            raise NotWritable(f"{place} is a file; name a folder for the {kind.content}.")
    there = kind.files_in(folder)
    for path in there:
        if not path.is_file():
            raise NotWritable(
                f"{path} is in the way of a file of that name: name another folder for the "
                f"{kind.content}."
            )
    if there and not force:
        raise NotWritable(
            f"{folder} holds {kind.content} already ({there[0].relative_to(folder)}): name "
            "another folder, or replace what is there with --force."
        )
    _try_out(folder / "file")


def _try_out(path: Path) -> None:
    """Write an empty file where a file, or the first folder above it that is missing, would be.

    Asking for permissions is not enough: a disk may be mounted for reading, or be no disk at all.
    """
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    folder = missing.parent
    if not folder.is_dir():
        raise NotWritable(f"{folder} is a file, so there is no place for {path}: name another.")
    longest = os.pathconf(folder, "PC_NAME_MAX") - _SPARE_BYTES
    for name in path.relative_to(folder).parts:
        if len(os.fsencode(name)) > longest:
            raise UnusablePath(
                f"The name {name[:40]}... has {len(os.fsencode(name))} bytes, and at most "
                f"{longest} can be written here: choose a shorter one."
            )
    trial = folder / f".trial-{secrets.token_hex(4)}"
    with translate_disk_errors(folder):
        try:
            trial.touch(exist_ok=False)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOSYS, errno.EINVAL}:
                raise
            raise NotWritable(f"Nothing can be written to {folder}: name another.") from error
        trial.unlink()


@contextmanager
def replacing_files(folder: Path, kind: FolderKind) -> Iterator[Path]:
    """Give a folder to write files of a kind to; if all went well, they are those of `folder`.

    The files of the kind that were there before go as a whole, and nothing else is touched. If it
    did not go well, files that were there stay as they were; where there were none, the ones that
    were finished are kept.

    Args:
        folder: made if missing; see `check_new_folder`.
        kind: of the files.

    Raises:
        NotWritable: if the place cannot be written to.
        DiskFull: if the disk is full.
    """
    is_new = not folder.exists()
    make_folder(folder)
    aside = folder / f".unfinished-{secrets.token_hex(4)}"
    old = kind.files_in(folder)
    with translate_disk_errors(folder):
        aside.mkdir()
        try:
            yield aside
            for path in old:
                path.unlink()
            old = []
        finally:
            if not old:
                _move_files(aside, folder)
            shutil.rmtree(aside)
            if is_new and not any(folder.iterdir()):
                folder.rmdir()


def _move_files(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        elif path.suffix != ".tmp":  # of a file that was not finished
            path.replace(place)
