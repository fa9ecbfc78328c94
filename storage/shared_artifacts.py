"""A store that many machines share: an object store, and on each machine a working store for it.

The working store is an `ArtifactStore` of its own. What it lacks is downloaded, verified and
renamed into place; what is committed to it is published, the manifest last and only if none is
there. Should two machines have made one artifact, the manifest that was first is the artifact, and
the other machine takes it.

    <root>/shared.json                      the URL, and the name of this working store
    <root>/incoming/<stage>-<key20>/        what is being downloaded
    <root>/unpublished/<stage>-<key20>      a refreshed artifact that is still to be published
    <root>/mirror/<stage>/                  manifests that were read
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.artifacts import KEY_LETTERS, ArtifactRef, ArtifactStore, WorkFolder
from storage.errors import DamagedArtifact, MissingArtifact, StorageError
from storage.leases import Leases, LeaseTiming
from storage.locks import hold_lock
from storage.manifest import (
    MANIFEST_NAME,
    Acceptance,
    Manifest,
    read_manifest,
    verify_files,
)
from storage.objects import OUTAGE_SECONDS, Objects
from storage.published import PublishedArtifacts, PublishedManifest, check_is_published
from storage.shared_runs import SharedRunRecords
from storage.shared_states import SharedStates
from storage.store_schema import STORE_DESCRIPTION, STORE_NAME, check_store_schema
from storage.writing import exchange_folder, make_folder, translate_disk_errors

_logger = logging.getLogger(__name__)


class SharedStore(ArtifactStore):
    """An `ArtifactStore` whose artifacts other machines find, too.

    Args:
        root: of this machine's working store.
        objects: of the shared store.
        owner: name of the working store, different on each machine.
        timing: of leases.
    """

    def __init__(
        self, root: Path, objects: Objects, owner: str, timing: LeaseTiming | None = None
    ) -> None:
        super().__init__(root)
        self.objects = objects
        self.published = PublishedArtifacts(objects, root / "mirror")
        self.leases = Leases(objects, owner, timing)
        self.states = SharedStates(objects)
        self._records = SharedRunRecords(root / "runs", objects)
        self._described = False

    # ------------------------------------------------------------------ the store itself
    def check_access(self) -> None:
        """See that the shared store answers and lets this program in; then it is waited for.

        Raises:
            StoreUnreachable: if it does not answer.
            StoreRefused: if it refuses access, or has no such bucket.
            NewerSchema: if a newer version of the program wrote it.
        """
        self._describes_itself()
        self.objects.patience = OUTAGE_SECONDS

    def check_exists(self) -> None:
        """Raises MissingArtifact if there is no store at the URL; and as `check_access`."""
        if not self._describes_itself():
            raise MissingArtifact(
                f"There is no store at {self.objects.url}: run the pipeline, or name one with "
                "--store."
            )

    def _describes_itself(self) -> bool:
        if not self._described:
            found = self.objects.get(STORE_NAME)
            if found is not None:
                check_store_schema(found.content, self.objects.shown(STORE_NAME))
            self._described = found is not None
        return self._described

    def _prepare(self) -> None:
        super()._prepare()
        if not self._describes_itself():
            self.objects.create(STORE_NAME, json.dumps(STORE_DESCRIPTION).encode())
            self._described = True

    # ------------------------------------------------------------------ looking
    def _look_up(self, stage: str, key: str, *, verify: bool) -> ArtifactRef | None:
        self._describes_itself()
        published = self.published.manifest(stage, key)
        if published is None or self._unpublished(stage, key).exists():
            ref = super()._look_up(stage, key, verify=verify)
            # Made here while the shared store was away, or before there was one.
            return None if ref is None else self._publish(ref)
        if not self._is_here(published, verify=verify):
            self._fetch(published, verify=verify)
        return self.ref(published.manifest)

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """As of every store; an artifact that is not here is downloaded."""
        if not (ref.folder / MANIFEST_NAME).exists():
            self._look_up(ref.stage, ref.key, verify=False)
        return super().manifest(ref)

    def _dated_manifests(self, stage: str) -> list[tuple[int, Manifest]]:
        published = self.published.manifests(stage)
        keys = {item.manifest.key for item in published}
        local = [item for item in super()._dated_manifests(stage) if item[1].key not in keys]
        return [*local, *((item.modified_ns, item.manifest) for item in published)]

    def _is_here(self, published: PublishedManifest, *, verify: bool) -> bool:
        """Whether the working store has just this artifact; a damaged one is said."""
        wanted = published.manifest
        folder = self.artifact_folder(wanted.stage, wanted.key)
        try:
            local = read_manifest(folder, wanted.stage)
            if local is not None and local.files == wanted.files and verify:
                verify_files(folder, local)
        except DamagedArtifact as error:
            _logger.warning("%s It is taken from %s again.", error, self.objects.url)
            return False
        if local is None or local.files != wanted.files:
            if local is not None and local.digest != wanted.digest:
                self._say_other(wanted)
            return False
        # That code was accepted is told by the manifest alone.
        return (folder / MANIFEST_NAME).read_bytes() == published.content

    def _say_other(self, manifest: Manifest) -> None:
        _logger.warning(
            "Another machine published another result of stage %s to %s before: it is taken.",
            manifest.stage,
            self.objects.url,
        )

    def _fetch(self, published: PublishedManifest, *, verify: bool) -> None:
        """Put a published artifact into the working store.

        Raises:
            DamagedArtifact: naming the object that is damaged; what is here stays.
        """
        wanted = published.manifest
        name = f"{wanted.stage}-{wanted.key[:KEY_LETTERS]}"
        super()._prepare()
        with hold_lock(self.root / "locks" / f"fetch-{name}.lock", f"downloads {wanted.stage}"):
            if self._is_here(published, verify=verify):  # another process was quicker
                return
            incoming = self.root / "incoming" / name
            target = self.artifact_folder(wanted.stage, wanted.key)
            with translate_disk_errors(incoming):
                shutil.rmtree(incoming, ignore_errors=True)
                incoming.mkdir(parents=True)
                try:
                    self.published.download(published, incoming)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    exchange_folder(incoming, target, aside=incoming.with_suffix(".replaced"))
                finally:
                    shutil.rmtree(incoming, ignore_errors=True)
                    shutil.rmtree(incoming.with_suffix(".replaced"), ignore_errors=True)

    # ------------------------------------------------------------------ making
    @contextmanager
    def lock(self, stage: str, key: str, reads: Sequence[str] = ()) -> Iterator[int]:
        """As of every store, and on every machine: see `storage.leases`."""
        with (
            super().lock(stage, key, reads) as descriptor,
            self.leases.hold(f"{stage}/{key[:KEY_LETTERS]}", f"builds stage {stage}", reads),
        ):
            yield descriptor

    def work(self, stage: str, key: str) -> WorkFolder:
        """As of every store; the state is that of the machine that came furthest."""
        work = super().work(stage, key)
        with translate_disk_errors(work.state):
            self.states.restore(stage, key, work.state)
        return work

    def state_sharer(self, stage: str, key: str) -> Callable[[Path], None] | None:
        """What publishes a training's state."""
        state = self._work_folder(stage, key) / "state"
        return lambda folder: self.states.publish(stage, key, folder, state)

    def commit(
        self,
        stage: str,
        key: str,
        *,
        config: Any,
        inputs: Mapping[str, str],
        code: Mapping[str, str],
        version: int,
        meta: Mapping[str, Any],
    ) -> ArtifactRef:
        """As of every store; then the artifact is published.

        Returns:
            The reference to the artifact that counts, which may be another machine's.

        Raises:
            StoreUnreachable: if the shared store does not answer; the artifact is kept here, and
                published when it is next looked for.
        """
        marker = self._unpublished(stage, key)
        if self.refresh_pending(stage, key):
            make_folder(marker.parent)
            marker.touch()
        try:
            ref = super().commit(
                stage, key, config=config, inputs=inputs, code=code, version=version, meta=meta
            )
        except BaseException:
            marker.unlink(missing_ok=True)
            raise
        ref = self._publish(ref)
        try:
            self.states.drop(stage, key)
        except StorageError as error:  # the artifact is published all the same
            _logger.warning("%s", error)
        return ref

    def publish(self, stage: str, key: str) -> bool:
        """Publish an artifact of the working store; whether it was not published before."""
        with self.lock(stage, key):
            if self.published.manifest(stage, key) is not None:
                return False
            return self._look_up(stage, key, verify=True) is not None

    def discard(self, stage: str, key: str) -> None:
        """As of every store; what other machines left of the work is dropped, too."""
        super().discard(stage, key)
        self.states.drop(stage, key)

    def _is_there(self, stage: str, key: str) -> bool:
        try:
            published = self.published.manifest(stage, key) is not None
        except DamagedArtifact:
            published = True
        return published or super()._is_there(stage, key)

    def _publish(self, ref: ArtifactRef) -> ArtifactRef:
        """Write an artifact of the working store to the shared one, unless one is there."""
        manifest = super().manifest(ref)
        content = (ref.folder / MANIFEST_NAME).read_bytes()
        self._prepare()
        self.published.upload(ref.folder, manifest)
        marker = self._unpublished(ref.stage, ref.key)
        if marker.exists():
            self.published.replace_manifest(manifest, content)
            marker.unlink(missing_ok=True)
            return ref
        if self.published.create_manifest(manifest, content):
            self.published.complete(ref.folder, manifest)
            return ref
        found = self.published.manifest(ref.stage, ref.key)
        first = check_is_published(found, ref.stage, self.objects.url)
        if first.content != content:
            if not self._is_here(first, verify=False):
                self._fetch(first, verify=False)
            return self.ref(first.manifest)
        return ref

    def _add_acceptance(self, ref: ArtifactRef, said: Acceptance) -> None:
        super()._add_acceptance(ref, said)
        local = super().manifest(ref)
        self.published.replace_manifest(local, (ref.folder / MANIFEST_NAME).read_bytes())

    def _unpublished(self, stage: str, key: str) -> Path:
        """There as long as an artifact is to take the place of the one that is published."""
        return self.root / "unpublished" / f"{stage}-{key[:KEY_LETTERS]}"
