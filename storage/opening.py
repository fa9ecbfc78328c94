"""Opening stores by address: a folder, file://..., or s3://bucket/prefix with a working store."""

import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from storage.artifacts import ArtifactStore
from storage.errors import StorageError, UnusablePath
from storage.locks import hold_lock
from storage.objects import SCHEME, open_objects
from storage.paths import cache_folder, check_local_path
from storage.shared_artifacts import SharedStore
from storage.writing import make_folder, write_json

SHARED_NAME = "shared.json"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_SHOWN_LETTERS = 60


def working_folder(address: str) -> Path:
    """The folder of this machine for a store.

    Args:
        address: a path, file:///path, or s3://bucket/prefix. For the last one it is a folder below
            PHRASE_LDM_CACHE (by default that of this program in the user's cache), which is made
            and remembers what it belongs to.

    Raises:
        UnusablePath: for any other address, one with a password in it, or a path that the system
            cannot have.
        NotWritable: if the folder cannot be made.
    """
    if not _ADDRESS.match(address):
        folder = Path(address)
    elif address.lower().startswith("file:"):
        folder = _file_path(address)
    else:
        folder = _shared_folder(_checked_url(address))
    check_local_path(folder)
    return folder


def store_address(root: Path) -> str:
    """What a store is called: its URL where the folder is a working store, else its path."""
    shared = _shared(root)
    return str(root) if shared is None else shared[0]


def open_store(root: Path) -> ArtifactStore:
    """The store of a working folder, be it there or not; raises as `ArtifactStore`."""
    shared = _shared(root)
    if shared is None:
        return ArtifactStore(root)
    url, owner = shared
    return SharedStore(root, open_objects(url), owner)


def existing_store(root: Path) -> ArtifactStore:
    """As `open_store`, for whoever only reads: nothing is made at a mistyped place.

    Raises:
        MissingArtifact: if there is none.
    """
    store = open_store(root)
    store.check_exists()
    return store


def shared_store(root: Path) -> SharedStore:
    """The shared store of a working folder, which may still be empty.

    Raises:
        StorageError: if the store is a folder.
    """
    store = open_store(root)
    if not isinstance(store, SharedStore):
        raise StorageError(
            f"{root} is a folder and no shared store: name one, such as s3://bucket/prefix."
        )
    return store


def _file_path(address: str) -> Path:
    parts = urlsplit(address)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise UnusablePath(
            f"{address} names no folder of this computer: write file:///folder, or its path."
        )
    return Path(unquote(parts.path))


def _checked_url(address: str) -> str:
    """A URL without anything private or ambiguous in it."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise UnusablePath("The store's address is no URL: write s3://bucket/prefix.") from error
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UnusablePath(
            "The store's address holds more than bucket and prefix: write s3://bucket/prefix, and "
            "give the credentials as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    names = [name for name in parts.path.split("/") if name]
    if parts.scheme.lower() != SCHEME or not _BUCKET.fullmatch(parts.netloc) or ".." in names:
        raise UnusablePath(
            f"{address} is no address of a store: write a path, file:///folder or "
            "s3://bucket/prefix."
        )
    return "/".join([f"{SCHEME}://{parts.netloc}", *names])


def _shared_folder(url: str) -> Path:
    """The working store of a URL; another endpoint is another store."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
    digest = hashlib.sha256(f"{endpoint} {url}".encode()).hexdigest()[:12]
    shown = re.sub(r"[^A-Za-z0-9]+", "-", url.removeprefix(f"{SCHEME}://"))[:_SHOWN_LETTERS]
    root = cache_folder() / f"{shown.strip('-')}-{digest}"
    make_folder(root)
    with hold_lock(root / "locks" / "shared.lock", "makes the working store"):
        if not (root / SHARED_NAME).exists():
            write_json(root / SHARED_NAME, {"url": url, "working_store": secrets.token_hex(8)})
    return root


def _shared(root: Path) -> tuple[str, str] | None:
    """URL and name of a working store; None for a store that is a folder."""
    path = root / SHARED_NAME
    try:
        data = json.loads(path.read_bytes())
        return _checked_url(data["url"]), str(data["working_store"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} does not say which store it belongs to: remove the folder; the store keeps "
            "all that was published."
        ) from error
