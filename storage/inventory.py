"""What a store holds, what of it is in use, and how it is removed: of a folder, or a shared one."""

import re
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Protocol

from storage.artifacts import KEY_LETTERS, ArtifactStore
from storage.collection import InUse, StoredArtifact
from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.locks import lock_if_free, read_note
from storage.manifest import MANIFEST_NAME, read_manifest, verify_files
from storage.objects import ObjectInfo
from storage.published import named_files, tell
from storage.shared_artifacts import SharedStore
from storage.shared_states import STATES
from storage.writing import replacing

PINS = "pins"
LEFTOVER_AGE = timedelta(days=1)
"""Files without a manifest that are older are not being published any more."""
_LOCK = re.compile(rf"(?P<stage>.+)-(?P<key>[A-Za-z0-9_.-]{{1,{KEY_LETTERS}}})\.lock")


class Inventory(Protocol):
    """Looks through a store, and removes from it."""

    def artifacts(self, damaged: list[str] | None = None) -> list[StoredArtifact]:
        """All artifacts whose manifests can be read.

        Args:
            damaged: gets the sentence about each that cannot, which is logged where it is None.
        """

    def in_use(self, *, certain: bool) -> InUse:
        """What is being made; if certain, without what processes left that are gone."""

    def maker(self, artifact: StoredArtifact) -> str:
        """Who made an artifact, as far as the store knows; else empty."""

    def damage(self, artifact: StoredArtifact) -> list[str]:
        """What is wrong with the files of an artifact, all of which are read."""

    def remove(self, artifact: StoredArtifact) -> bool:
        """Remove an artifact; False where it was in use after all."""

    def leftovers(self) -> list[tuple[str, int]]:
        """Names and bytes of old files that belong to no artifact."""

    def remove_leftovers(self) -> None:
        """Remove them."""

    def read_file(self, name: str) -> bytes:
        """A file that is no artifact, such as `pins`, as all machines see it; empty without one."""

    def write_file(self, name: str, content: bytes) -> None:
        """Make or replace such a file.

        Raises:
            StorageError: if another machine does so in the same moment.
        """


def read_pins(inventory: Inventory) -> dict[str, str]:
    """Keys that stay, with the words behind them: a line each of the file `pins` of a store."""
    lines = inventory.read_file(PINS).decode(errors="replace").splitlines()
    words = [line.strip().partition(" ") for line in lines if line.strip()]
    return {key: reason.strip() or "pinned" for key, _, reason in words}


def write_pins(inventory: Inventory, pins: Mapping[str, str]) -> None:
    """Replace the pins of a store."""
    lines = [f"{key} {reason}\n" for key, reason in sorted(pins.items())]
    inventory.write_file(PINS, "".join(lines).encode())


def newest_run_keys(store: ArtifactStore) -> list[str]:
    """Keys of the artifacts of the newest recorded run; none where none is recorded."""
    try:
        return [ref["key"] for ref in store.latest_run()["refs"].values()]
    except MissingArtifact:
        return []


class LocalInventory:
    """Of a store that is a folder.

    Args:
        store: the folder's.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self._store, self._root = store, store.root

    def artifacts(self, damaged: list[str] | None = None) -> list[StoredArtifact]:
        """See `Inventory`."""
        found = []
        for path in sorted((self._root / "artifacts").glob(f"*/*/{MANIFEST_NAME}")):
            try:
                manifest = read_manifest(path.parent, path.parts[-3])
            except (StorageError, PermissionError) as error:
                tell(str(error), damaged)
                continue
            if manifest is not None:
                found.append(StoredArtifact(manifest, path.stat().st_mtime))
        return found

    def in_use(self, *, certain: bool) -> InUse:  # noqa: ARG002 - the kernel is always certain
        """See `Inventory`."""
        places, reads = {}, set[str]()
        for path in (self._root / "locks").glob("*.lock"):
            match, note = _LOCK.fullmatch(path.name), read_note(path)
            if match and note is not None:
                places[match["stage"], match["key"]] = "a process of this machine"
                reads.update(note.split())
        return InUse(places, frozenset(reads))

    def maker(self, artifact: StoredArtifact) -> str:
        """See `Inventory`: the owner of its manifest."""
        manifest = artifact.manifest
        path = self._store.artifact_folder(manifest.stage, manifest.key) / MANIFEST_NAME
        try:
            return f"user {path.owner()}"
        except (KeyError, OSError):  # a user of another machine
            return ""

    def damage(self, artifact: StoredArtifact) -> list[str]:
        """See `Inventory`: the first file that is damaged."""
        manifest = artifact.manifest
        try:
            verify_files(self._store.artifact_folder(manifest.stage, manifest.key), manifest)
        except DamagedArtifact as error:
            return [str(error)]
        return []

    def remove(self, artifact: StoredArtifact) -> bool:
        """See `Inventory`."""
        stage, key = artifact.manifest.stage, artifact.manifest.key
        folder = self._store.artifact_folder(stage, key)
        with lock_if_free(self._store.lock_path(stage, key)) as free:
            if free:
                (folder / MANIFEST_NAME).unlink(missing_ok=True)  # from here on there is none
                shutil.rmtree(folder)
        return free

    def leftovers(self) -> list[tuple[str, int]]:
        """See `Inventory`: of a folder there are none."""
        return []

    def remove_leftovers(self) -> None:
        """See `Inventory`."""

    def read_file(self, name: str) -> bytes:
        """See `Inventory`."""
        path = self._root / name
        return path.read_bytes() if path.exists() else b""

    def write_file(self, name: str, content: bytes) -> None:
        """See `Inventory`."""
        with replacing(self._root / name) as aside:
            aside.write_bytes(content)


class WorkingInventory(LocalInventory):
    """Of the working store of a shared store, from which goes only what can be fetched again.

    Args:
        store: the shared one.
    """

    def __init__(self, store: SharedStore) -> None:
        super().__init__(store)
        self._published = store.published

    def remove(self, artifact: StoredArtifact) -> bool:
        """See `Inventory`: False also where it is not published."""
        there = self._published.manifest(artifact.manifest.stage, artifact.manifest.key)
        return there is not None and super().remove(artifact)


class SharedInventory:
    """Of an object store.

    Args:
        store: the shared one.
    """

    def __init__(self, store: SharedStore) -> None:
        self._published, self._leases = store.published, store.leases
        self._objects = store.objects

    def artifacts(self, damaged: list[str] | None = None) -> list[StoredArtifact]:
        """See `Inventory`."""
        found = self._published.manifests(damaged=damaged)
        return [StoredArtifact(item.manifest, item.modified.timestamp()) for item in found]

    def in_use(self, *, certain: bool) -> InUse:
        """See `Inventory`: whether a holder lives takes up to a minute to find out."""
        held = self._leases.alive() if certain else self._leases.all()
        places, reads = {}, set[str]()
        for name, holder in held:
            stage, _, key = name.partition("/")
            places[stage, key] = str(holder)
            reads.update(holder.reads)
        return InUse(places, frozenset(reads))

    def maker(self, artifact: StoredArtifact) -> str:
        """See `Inventory`: the process that published it."""
        return self._published.publisher(artifact.manifest.stage, artifact.manifest.key)

    def damage(self, artifact: StoredArtifact) -> list[str]:
        """See `Inventory`."""
        return self._published.damage(artifact.manifest)

    def remove(self, artifact: StoredArtifact) -> bool:
        """See `Inventory`."""
        stage, key = artifact.place
        # Held, so that nobody publishes the same files while they are removed.
        with self._leases.hold_if_free(f"{stage}/{key}", "clears the store") as free:
            if free:
                self._published.remove(stage, artifact.manifest.key)
        return free

    def leftovers(self) -> list[tuple[str, int]]:
        """See `Inventory`."""
        return [(item.name, item.bytes) for item in self._old_files()]

    def remove_leftovers(self) -> None:
        """See `Inventory`."""
        by_place: dict[str, list[str]] = {}
        for item in self._old_files():
            by_place.setdefault(_place(item), []).append(item.name)
        for place, names in by_place.items():
            # Held, so that nobody publishes here; who did since the listing has a manifest now.
            with self._leases.hold_if_free(place, "clears the store") as free:
                if free:
                    found = self._published.manifests(PurePosixPath(place).parts[0])
                    named = named_files([item.manifest for item in found])
                    self._objects.delete(name for name in names if name not in named)

    def _old_files(self) -> list[ObjectInfo]:
        """Files without a manifest, and states of what is finished.

        The former only if they were there a day before what is written now.
        """
        manifests = [item.manifest for item in self._published.manifests()]
        files = self._published.without_manifest(manifests)
        places = {f"{item.stage}/{item.key[:KEY_LETTERS]}" for item in manifests}
        states = [item for item in self._objects.list(STATES) if _place(item) in places]
        if not files and not states:
            return []
        with self._leases.hold("store/clearing", "clears the store") as lease:
            written = self._objects.get(lease.name)  # now, by the object store's clock
        if written is None:  # another process of this machine clears the store
            return []
        held = {name for name, _ in self._leases.all()}
        old = [item for item in files if item.modified < written.info.modified - LEFTOVER_AGE]
        return [item for item in (*old, *states) if _place(item) not in held]

    def read_file(self, name: str) -> bytes:
        """See `Inventory`."""
        read = self._objects.get(name)
        return read.content if read else b""

    def write_file(self, name: str, content: bytes) -> None:
        """See `Inventory`."""
        seen = self._objects.get(name)
        written = (
            self._objects.create(name, content)
            if seen is None
            else self._objects.replace(name, content, seen.version)
        )
        if written is None:
            shown = self._objects.shown(name)
            raise StorageError(f"{shown} was changed by another machine: run the command again.")


def _place(item: ObjectInfo) -> str:
    """Stage and key's first letters in the name of an object."""
    return "/".join(PurePosixPath(item.name).parts[1:3])


def open_inventory(store: ArtifactStore, *, working_store: bool = False) -> Inventory:
    """What a store holds.

    Args:
        store: to look through.
        working_store: whether of a shared store only what this machine has of it is meant.

    Raises:
        StorageError: for the working store of a store that is a folder.
    """
    if isinstance(store, SharedStore):
        return WorkingInventory(store) if working_store else SharedInventory(store)
    if working_store:
        raise StorageError(f"{store.root} is a folder and no shared store: leave out --cache.")
    return LocalInventory(store)
