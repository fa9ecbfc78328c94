"""The artifact store: finished results by stage and key, immutable, checked when found.

    <root>/store.json                       schema version of the store
    <root>/artifacts/<stage>/<key20>/       files and manifest.json, which is written last
    <root>/work/<stage>/<key20>/output/     what is being made; renamed into artifacts when complete
    <root>/work/<stage>/<key20>/state/      survives a crash, so that the stage can continue
    <root>/locks/<stage>-<key20>.lock       held by the process that builds the artifact
    <root>/runs/<number>-<name>.json        which artifacts a run of the pipeline made or reused

Locks are flock's: the kernel frees them when the last process that holds the file open is gone.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.errors import MissingArtifact, NothingToAccept, StorageError
from storage.fingerprint import plain_value
from storage.finite import check_finite
from storage.locks import hold_lock
from storage.manifest import (
    MANIFEST_NAME,
    MANIFEST_SCHEMA_VERSION,
    Acceptance,
    Manifest,
    check_output,
    damaged,
    digest_records,
    plain_meta,
    read_manifest,
    read_verified,
    record_files,
    sorted_by_age,
    verify_files,
    write_manifest,
)
from storage.runs import RunRecords
from storage.store_schema import STORE_DESCRIPTION, STORE_NAME, check_store_schema
from storage.writing import exchange_folder, translate_disk_errors, write_json

KEY_LETTERS = 20  # of the key in folder names: 80 bits
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """A small reference to an artifact, which stages take and return instead of its content.

    Attributes:
        stage: name of the stage that made it.
        key: fingerprint it was made under.
        digest: of its content; what later stages put into their own keys.
        folder: where its files are.
    """

    stage: str
    key: str
    digest: str
    folder: Path

    def to_json(self) -> dict[str, str]:
        """As strings, with the folder relative to the store's root."""
        relative = Path(*self.folder.parts[-3:]).as_posix()
        return {"stage": self.stage, "key": self.key, "digest": self.digest, "folder": relative}

    @classmethod
    def from_json(cls, store: "ArtifactStore", data: Mapping[str, str]) -> "ArtifactRef":
        """The reference that `to_json` described, in the given store; the disk is not looked at."""
        folder = store.artifact_folder(data["stage"], data["key"])
        return cls(data["stage"], data["key"], data["digest"], folder)


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """Where a stage works.

    Attributes:
        output: empty at the start; everything in it is committed.
        state: what the stage needs to continue after a crash; dropped at commit.
    """

    output: Path
    state: Path


class ArtifactStore:
    """Finds, builds and records artifacts under one root folder.

    Args:
        root: folder of the store; made at the first write.

    Raises:
        NewerSchema: if a newer version of the program wrote the store.
        StorageError: if the root is a file, or its store.json is not one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._records = RunRecords(root / "runs")
        self._check_schema()

    def artifact_folder(self, stage: str, key: str) -> Path:
        """Where the artifact of a stage and key is, or would be."""
        return self.root / "artifacts" / _checked(stage) / _checked(key)[:KEY_LETTERS]

    def find(self, stage: str, key: str, *, verify: bool = True) -> ArtifactRef | None:
        """The artifact of a stage and key, or one accepted in its place; None if it must be built.

        Args:
            stage: name of the stage.
            key: full fingerprint.
            verify: whether to read every file and compare it with the manifest.

        Raises:
            DamagedArtifact: if its manifest or a file is damaged.
            NewerSchema: if a newer version of the program wrote it.
        """
        if self.refresh_pending(stage, key):
            return None
        found = self._look_up(stage, key, verify=verify)
        if found is None:
            accepted = self._accepted(stage, key)
            found = self._look_up(stage, accepted.key, verify=verify) if accepted else None
        return found

    def accept(
        self,
        stage: str,
        key: str,
        *,
        config: Any,
        inputs: Mapping[str, str],
        code: Mapping[str, str],
        version: int,
        why: str,
    ) -> ArtifactRef:
        """Have an artifact found under a key of other code, as a person says it is the same.

        The newest artifact of the stage with these settings, inputs and version is taken, whatever
        its code. What was said stands in its manifest; its files and digest stay as they are.

        Args:
            stage: name of the stage.
            key: full fingerprint to be found under.
            config: settings in the key.
            inputs: input name to digest.
            code: module name to digest, as in the key.
            version: version of the stage.
            why: reason for people, or empty.

        Returns:
            The reference to the artifact.

        Raises:
            NothingToAccept: if no artifact differs from the one wanted in its code alone.
            DamagedArtifact: if it is damaged.
        """
        parts = (plain_value(config, "config"), plain_value(inputs, "inputs"), version)
        same = (item for item in self.manifests(stage) if _parts(item) == parts)
        chosen = next(same, None)
        if chosen is None:
            raise NothingToAccept(
                f"Nothing of stage {stage} in {self.root} differs from what is wanted in its code "
                f"alone: run `phraseldm explain {stage}` for what differs, and run the pipeline."
            )
        said = Acceptance(key, dict(code), why, datetime.now(UTC).date().isoformat())
        with self.lock(stage, chosen.key):
            ref = self._look_up(stage, chosen.key, verify=True)
            if ref is None:
                raise damaged(self.artifact_folder(stage, chosen.key), stage, "is gone")
            self._add_acceptance(ref, said)
        return ref

    def _add_acceptance(self, ref: ArtifactRef, said: Acceptance) -> None:
        manifest, path = self.manifest(ref), ref.folder / MANIFEST_NAME
        before = path.stat()
        others = tuple(item for item in manifest.accepted if item.key != said.key)
        write_manifest(
            ref.folder,
            replace(manifest, accepted=(*others, said), schema_version=MANIFEST_SCHEMA_VERSION),
        )
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # it was committed then

    def _accepted(self, stage: str, key: str) -> Manifest | None:
        """The newest artifact that was accepted under a key."""
        found = (item for item in self.manifests(stage) if item.acceptance(key))
        return next(found, None)

    def manifest(self, ref: ArtifactRef) -> Manifest:
        """The manifest of an artifact.

        Raises:
            MissingArtifact: if the artifact is gone.
            DamagedArtifact: if the manifest is damaged.
        """
        manifest = read_manifest(ref.folder, ref.stage)
        if manifest is None:
            raise MissingArtifact(
                f"The artifact of stage {ref.stage} is no longer at {ref.folder}: run the pipeline "
                "again to rebuild it."
            )
        return manifest

    def ref(self, manifest: Manifest) -> ArtifactRef:
        """The reference to the artifact that a manifest describes; the disk is not looked at."""
        folder = self.artifact_folder(manifest.stage, manifest.key)
        return ArtifactRef(manifest.stage, manifest.key, manifest.digest, folder)

    def read_bytes(self, ref: ArtifactRef, name: str) -> bytes:
        """The content of one file of an artifact, compared with the manifest; no other is hashed.

        Raises:
            MissingArtifact: if the artifact is gone, or has no such file.
            DamagedArtifact: if the file, or the manifest, is damaged.
        """
        return read_verified(ref.folder, self.manifest(ref), name)

    def read_json(self, ref: ArtifactRef, name: str) -> Any:
        """What one JSON file of an artifact says; raises as `read_bytes`."""
        return json.loads(self.read_bytes(ref, name))

    def has_file(self, ref: ArtifactRef, name: str) -> bool:
        """Whether an artifact was committed with a file of this name; raises as `manifest`."""
        return any(record.path == name for record in self.manifest(ref).files)

    def manifests(self, stage: str) -> list[Manifest]:
        """All manifests of a stage that can be read, the most recently committed first."""
        return [manifest for _, manifest in sorted_by_age(self._dated_manifests(stage))]

    def _dated_manifests(self, stage: str) -> list[tuple[int, Manifest]]:
        """All manifests of a stage that can be read, with when they were committed [ns]."""
        found: list[tuple[int, Manifest]] = []
        for path in (self.root / "artifacts" / _checked(stage)).glob(f"*/{MANIFEST_NAME}"):
            try:
                manifest = read_manifest(path.parent, stage)
            except (StorageError, PermissionError) as error:
                _logger.warning("%s", error)
                continue
            if manifest is not None:
                found.append((path.stat().st_mtime_ns, manifest))
        return found

    def manifests_by_digest(self, stages: Iterable[str]) -> dict[str, Manifest]:
        """Readable manifests of some stages; of equal artifacts the most recently committed."""
        found = [manifest for stage in stages for manifest in reversed(self.manifests(stage))]
        return {manifest.digest: manifest for manifest in found}

    def lock(self, stage: str, key: str, reads: Sequence[str] = ()) -> AbstractContextManager[int]:
        """Hold the lock of one artifact, waiting for a process that builds it now.

        Args:
            stage: name of the stage.
            key: full fingerprint.
            reads: digests of the artifacts that it is built from, which nobody removes meanwhile.

        Returns:
            A context that yields the lock's file descriptor. It is inheritable: a child that gets
            it (`pass_fds`) keeps the lock held should this process die, so that nobody builds the
            same thing beside it.
        """
        self._prepare()
        path = self.lock_path(stage, key)
        return hold_lock(path, f"builds stage {stage}", " ".join(reads))

    def lock_path(self, stage: str, key: str) -> Path:
        """The lock file of one artifact."""
        return self.root / "locks" / f"{_checked(stage)}-{_checked(key)[:KEY_LETTERS]}.lock"

    def work(self, stage: str, key: str) -> WorkFolder:
        """Make the folders to work in; call it once, holding the lock.

        Output that a crashed run left is dropped: only `state` is made to be continued from.

        Raises:
            DiskFull: if the disk is full.
        """
        folder = self._work_folder(stage, key)
        work = WorkFolder(output=folder / "output", state=folder / "state")
        with translate_disk_errors(folder):
            self._prepare()
            if work.output.exists():
                shutil.rmtree(work.output)
            work.output.mkdir(parents=True)
            work.state.mkdir(exist_ok=True)
        return work

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
        """Make the output folder of `work` an artifact, replacing an earlier one of the same key.

        Args:
            stage: name of the stage.
            key: full fingerprint.
            config: settings in the key, as plain values or a pydantic model.
            inputs: input name to digest.
            code: module name to digest.
            version: version of the stage.
            meta: facts about the result for people; counts towards no digest.

        Returns:
            The reference to the new artifact.

        Raises:
            DiskFull: if the disk is full; an earlier artifact of this key is then still there.
            NonFinite: if a weight or a training figure is nan or infinite.
            StorageError: if there is no output, or it holds links.
        """
        work = self._work_folder(stage, key)
        output = work / "output"
        check_output(output, stage)
        check_finite(output, meta, stage)
        target = self.artifact_folder(stage, key)
        with translate_disk_errors(output):
            files = record_files(output)
            manifest = Manifest(
                stage=stage,
                key=key,
                config=plain_value(config, "config"),
                inputs=plain_value(inputs, "inputs"),
                code=plain_value(code, "code"),
                version=version,
                files=files,
                meta=plain_meta(meta),
                digest=digest_records(files),
            )
            write_manifest(output, manifest)
            target.parent.mkdir(parents=True, exist_ok=True)
            exchange_folder(output, target, aside=work / "replaced")
        (work / "refresh").unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        return ArtifactRef(stage, key, manifest.digest, target)

    def discard(self, stage: str, key: str) -> None:
        """Have an artifact rebuilt: `find` no longer gives it, and the stage starts from nothing.

        Call it holding the lock: the work folder of whoever builds the artifact now is dropped.
        The artifact's files stay in place until the new artifact is committed, so that nothing is
        lost if rebuilding it fails; `restore` takes the request back.
        """
        folder = self._work_folder(stage, key)
        with translate_disk_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
            if self._is_there(stage, key):
                self._prepare()
                folder.mkdir(parents=True)
                (folder / "refresh").touch()

    def _is_there(self, stage: str, key: str) -> bool:
        """Whether there is an artifact, be it damaged, or one accepted in its place."""
        return self.artifact_folder(stage, key).exists() or self._accepted(stage, key) is not None

    def restore(self, stage: str, key: str) -> None:
        """Take `discard` back: the artifact that is still in place counts again."""
        (self._work_folder(stage, key) / "refresh").unlink(missing_ok=True)

    def refresh_pending(self, stage: str, key: str) -> bool:
        """Whether `discard` was called and no new artifact has been committed since."""
        return (self._work_folder(stage, key) / "refresh").exists()

    def record_run(
        self, name: str, refs: Mapping[str, ArtifactRef], extra: Mapping[str, Any]
    ) -> Path:
        """Write down which artifacts a run made or reused.

        Args:
            name: of the run, such as its preset.
            refs: stage name to artifact.
            extra: anything else worth keeping, as plain values.

        Returns:
            Path of the record, `runs/<number>-<name>.json`.

        Raises:
            DiskFull: if the disk is full.
        """
        self._prepare()
        plain_refs = {stage: ref.to_json() for stage, ref in refs.items()}
        return self._records.add(name, {"refs": plain_refs, "extra": plain_meta(extra)})

    def latest_run(self) -> dict[str, Any]:
        """The newest run's record: number, name, refs (as `ArtifactRef.to_json`) and extra.

        Raises:
            MissingArtifact: if no run has been recorded.
        """
        return self._records.latest()

    def latest(self, stage: str, *, verify: bool = True) -> ArtifactRef:
        """A stage's artifact in the newest recorded run.

        Args:
            stage: name of the stage.
            verify: whether to compare every file with the manifest; of what is read by `read_bytes`
                the file that is read is compared in any case.

        Raises:
            MissingArtifact: if no run is recorded, the newest has no such stage, or the artifact
                is gone.
            DamagedArtifact: if it is damaged.
        """
        run = self.latest_run()
        data = run["refs"].get(stage)
        if data is None:
            raise MissingArtifact(
                f"The newest run in {self.root} ({run['name']}) has no stage {stage}, only "
                f"{', '.join(run['refs']) or 'none'}: run the pipeline up to {stage} first."
            )
        ref = self._look_up(data["stage"], data["key"], verify=verify)
        if ref is None:
            raise MissingArtifact(
                f"The artifact of stage {stage} of the newest run is gone from {self.root}: run "
                "the pipeline again to rebuild it."
            )
        return ref

    def _look_up(self, stage: str, key: str, *, verify: bool) -> ArtifactRef | None:
        folder = self.artifact_folder(stage, key)
        manifest = read_manifest(folder, stage)
        if manifest is None:
            return None
        if (manifest.stage, manifest.key) != (stage, key):
            raise damaged(folder / MANIFEST_NAME, stage, "belongs to another artifact")
        if verify:
            verify_files(folder, manifest)
        return ArtifactRef(stage, key, manifest.digest, folder)

    def _work_folder(self, stage: str, key: str) -> Path:
        return self.root / "work" / _checked(stage) / _checked(key)[:KEY_LETTERS]

    @classmethod
    def existing(cls, root: Path) -> "ArtifactStore":
        """A store that is there, for whoever only reads: nothing is made at a mistyped place.

        Raises:
            MissingArtifact: if there is none.
            NewerSchema: if a newer version of the program wrote it.
            StorageError: if the root is a file, or its store.json is not one.
        """
        store = cls(root)
        store.check_exists()
        return store

    def check_exists(self) -> None:
        """Raises MissingArtifact if there is no store."""
        if not (self.root / STORE_NAME).is_file():
            raise MissingArtifact(
                f"There is no store at {self.root}: run the pipeline, or name one with --store."
            )

    def check_access(self) -> None:
        """See that the store can be used, before anything starts; a folder shows it by itself."""

    def state_sharer(self, stage: str, key: str) -> "Callable[[Path], None] | None":  # noqa: ARG002
        """What publishes a training's state, so that another machine can go on; None: nobody can.

        It is called, holding the lock, with a folder of files that do not change meanwhile.
        """
        return None

    def _check_schema(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise StorageError(f"{self.root} is a file: name a folder for the store.")
        path = self.root / STORE_NAME
        if path.exists():
            check_store_schema(path.read_bytes(), path)

    def _prepare(self) -> None:
        path = self.root / STORE_NAME
        if not path.exists():
            write_json(path, STORE_DESCRIPTION)


def _parts(manifest: Manifest) -> tuple[Any, Any, int]:
    """All that a key is made of but the code."""
    return manifest.config, manifest.inputs, manifest.version


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a file name: use letters, digits, '_', '-' and '.'")
    return name
