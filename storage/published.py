"""Artifacts in an object store: data first, under the digests of their contents; manifests last.

    <url>/store.json                        schema version of the store
    <url>/manifests/<stage>/<key20>.json    written last: without it there is no artifact
    <url>/artifacts/<stage>/<key20>/<sha256>    one file of the artifact
    <url>/runs/<number>.json                records of runs
    <url>/leases/<stage>/<key20>.json       who makes it now
    <url>/states/<stage>/<key20>/           of a training under way, for another machine to go on
    <url>/pins                              what `phraseldm store gc` keeps

As files are named by their contents, two machines that publish the same artifact write the same
objects, and two that made different ones do not mix: the manifest says which are meant.
"""

import hashlib
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath

from storage.artifacts import KEY_LETTERS
from storage.errors import DamagedArtifact, NewerSchema, StorageError
from storage.manifest import MANIFEST_NAME, FileRecord, Manifest, damaged, parse_manifest
from storage.objects import ObjectInfo, Objects
from storage.writing import replacing

MANIFESTS, ARTIFACTS = "manifests", "artifacts"
CONNECTIONS = 16
"""Manifests that are read at once."""
FILES_AT_ONCE = 8
_MANIFEST = re.compile(r"manifests/([A-Za-z0-9_][A-Za-z0-9_.-]*)/([A-Za-z0-9_.-]+)\.json")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublishedManifest:
    """The manifest of a published artifact.

    Attributes:
        manifest: what it says.
        content: its text as it was published.
        version: of the object.
        modified: when it was published, by the clock of the object store.
    """

    manifest: Manifest
    content: bytes
    version: str
    modified: datetime

    @property
    def modified_ns(self) -> int:
        """`modified` as files have it [ns]."""
        return int(self.modified.timestamp() * 1e9)


def manifest_name(stage: str, key: str) -> str:
    """The object that is an artifact's manifest."""
    return f"{MANIFESTS}/{stage}/{key[:KEY_LETTERS]}.json"


def file_name(stage: str, key: str, sha256: str) -> str:
    """The object that is a file of an artifact."""
    return f"{ARTIFACTS}/{stage}/{key[:KEY_LETTERS]}/{sha256}"


class PublishedArtifacts:
    """Reads and writes the artifacts of an object store.

    Args:
        objects: of the store.
        mirror: local folder of manifests that were read, by version; made if needed.
    """

    def __init__(self, objects: Objects, mirror: Path) -> None:
        self.objects, self._mirror = objects, mirror

    # ------------------------------------------------------------------ manifests
    def manifest(self, stage: str, key: str) -> PublishedManifest | None:
        """The manifest of an artifact, or None where none is published.

        Raises:
            DamagedArtifact: if it is damaged.
            StoreUnreachable: if the store does not answer.
        """
        name = manifest_name(stage, key)
        read = self.objects.get(name)
        if read is None:
            return None
        found = self._parsed(read.content, read.info, stage)
        if found.manifest.key != key:
            raise damaged(self.objects.shown(name), stage, "belongs to another artifact")
        return found

    def publisher(self, stage: str, key: str) -> str:
        """Who published an artifact, such as "process 12 on studio"; empty where unknown."""
        read = self.objects.get(manifest_name(stage, key))
        return read.writer if read else ""

    def create_manifest(self, manifest: Manifest, content: bytes) -> bool:
        """Publish a manifest where there is none; whether there was none."""
        name = manifest_name(manifest.stage, manifest.key)
        return self.objects.create(name, content, _this_process()) is not None

    def replace_manifest(self, manifest: Manifest, content: bytes) -> None:
        """Publish a manifest in place of whatever is there."""
        name = manifest_name(manifest.stage, manifest.key)
        written = None
        while written is None:
            seen = self.objects.get(name)
            if seen is None:
                written = self.objects.create(name, content, _this_process())
            else:
                written = self.objects.replace(name, content, seen.version, _this_process())

    def manifests(
        self, stage: str | None = None, damaged: list[str] | None = None
    ) -> list[PublishedManifest]:
        """All published manifests, or those of a stage, without damaged ones.

        Args:
            stage: name of the stage.
            damaged: gets the sentence about each damaged one, which is logged where it is None.
        """
        prefix = MANIFESTS if stage is None else f"{MANIFESTS}/{stage}"
        listed = [item for item in self.objects.list(prefix) if _MANIFEST.fullmatch(item.name)]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            read = [*pool.map(partial(self._mirrored, damaged), listed)]
        return [found for found in read if found is not None]

    def _mirrored(self, damaged: list[str] | None, item: ObjectInfo) -> PublishedManifest | None:
        """A manifest of a listing, which is read once for each of its versions."""
        stage, name = PurePosixPath(item.name).parts[1], PurePosixPath(item.name).stem
        version = hashlib.sha256(f"{item.version} {item.modified}".encode()).hexdigest()[:16]
        path = self._mirror / stage / f"{name}-{version}.json"
        try:
            if path.exists():
                return self._parsed(path.read_bytes(), item, stage)
            read = self.objects.get(item.name)
            if read is None:  # removed meanwhile
                return None
            found = self._parsed(read.content, read.info, stage)
        except (DamagedArtifact, NewerSchema) as error:
            tell(str(error), damaged)
            return None
        for old in path.parent.glob(f"{name}-*.json"):
            old.unlink(missing_ok=True)
        with replacing(path) as aside:
            aside.write_bytes(read.content)
        return found

    def _parsed(self, content: bytes, info: ObjectInfo, stage: str) -> PublishedManifest:
        shown = self.objects.shown(info.name)
        manifest = parse_manifest(content, shown, stage)
        if manifest.stage != stage or info.name != manifest_name(stage, manifest.key):
            raise damaged(shown, stage, "belongs to another artifact")
        for record in manifest.files:
            path = PurePosixPath(record.path)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise damaged(shown, stage, "names a file outside its artifact")
        return PublishedManifest(manifest, content, info.version, info.modified)

    # ------------------------------------------------------------------ files
    def upload(self, folder: Path, manifest: Manifest) -> None:
        """Write the files of an artifact, which does not exist before its manifest does."""

        def send(record: FileRecord) -> None:
            name = file_name(manifest.stage, manifest.key, record.sha256)
            self.objects.upload(name, folder / record.path)

        _at_once(send, manifest.files)

    def complete(self, folder: Path, manifest: Manifest) -> None:
        """Write again what was removed of an artifact while it was published: see `remove`."""
        listed = self.objects.list(f"{ARTIFACTS}/{manifest.stage}/{manifest.key[:KEY_LETTERS]}")
        there = {item.name for item in listed}
        for record in manifest.files:
            name = file_name(manifest.stage, manifest.key, record.sha256)
            if name not in there:
                self.objects.upload(name, folder / record.path)

    def download(self, published: PublishedManifest, folder: Path) -> None:
        """Write a published artifact into an empty folder, verified, its manifest last.

        Raises:
            DamagedArtifact: naming the first object that is missing or not what it should be.
        """

        def take(record: FileRecord) -> None:
            path = folder / record.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for piece in self._verified(published.manifest, record):
                    file.write(piece)

        _at_once(take, published.manifest.files)
        target = folder / MANIFEST_NAME
        target.write_bytes(published.content)
        os.utime(target, ns=(published.modified_ns, published.modified_ns))

    def damage(self, manifest: Manifest) -> list[str]:
        """What is wrong with the files of a published artifact; all of it is read."""
        found = []
        for record in manifest.files:
            try:
                for _ in self._verified(manifest, record):
                    pass
            except DamagedArtifact as error:
                found.append(str(error))
        return found

    def _verified(self, manifest: Manifest, record: FileRecord) -> Iterable[bytes]:
        """The content of one file; at its end it raises where it was not what it should be."""
        name = file_name(manifest.stage, manifest.key, record.sha256)
        shown = f"{self.objects.shown(name)} ({record.path})"
        pieces = self.objects.download(name)
        if pieces is None:
            raise damaged(shown, manifest.stage, "is missing")
        size, digest = 0, hashlib.sha256()
        for piece in pieces:
            size += len(piece)
            if size > record.bytes:
                break
            digest.update(piece)
            yield piece
        if size != record.bytes:
            raise damaged(
                shown, manifest.stage, f"has not the {record.bytes} bytes its manifest says"
            )
        if digest.hexdigest() != record.sha256:
            raise damaged(shown, manifest.stage, "does not have the digest its manifest says")

    # ------------------------------------------------------------------ removal
    def remove(self, stage: str, key: str) -> None:
        """Remove an artifact: its manifest first, so that none is ever seen without its files."""
        self.objects.delete([manifest_name(stage, key)])
        files = self.objects.list(f"{ARTIFACTS}/{stage}/{key[:KEY_LETTERS]}")
        self.objects.delete(item.name for item in files)

    def without_manifest(self, manifests: Sequence[Manifest]) -> list[ObjectInfo]:
        """Files that no manifest names: of publishers that were cut off, or came second."""
        named = named_files(manifests)
        return [item for item in self.objects.list(ARTIFACTS) if item.name not in named]


def named_files(manifests: Sequence[Manifest]) -> set[str]:
    """The objects of all files that manifests name."""
    return {
        file_name(manifest.stage, manifest.key, record.sha256)
        for manifest in manifests
        for record in manifest.files
    }


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _at_once(work: Callable[[FileRecord], None], records: Sequence[FileRecord]) -> None:
    """Do something for several files at a time; after an error nothing more is begun."""
    pool = ThreadPoolExecutor(FILES_AT_ONCE)
    try:
        for _ in pool.map(work, records):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def tell(sentence: str, listed: list[str] | None) -> None:
    """Put a sentence on a list, or log it where there is none."""
    if listed is None:
        _logger.warning("%s", sentence)
    else:
        listed.append(sentence)


def check_is_published(found: PublishedManifest | None, stage: str, url: str) -> PublishedManifest:
    """A manifest that was just published.

    Raises:
        StorageError: if somebody removed it at once.
    """
    if found is None:
        raise StorageError(f"The artifact of stage {stage} is gone from {url}: run it again.")
    return found
