"""Stages: looked up by what they are made of, done on a miss, committed whole."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from storage.artifacts import ArtifactRef, ArtifactStore
from storage.code_digest import content_digests
from storage.fingerprint import digest_json, plain_value
from storage.locks import hold_lock
from storage.manifest import LOG_FOLDER
from storage.writing import translate_disk_errors
from tasks.engine.code_closure import closure, stage_modules

if TYPE_CHECKING:
    from tasks.engine.runtime import RuntimeConfig
    from tasks.engine.tracker import Tracker


ConfigT = TypeVar("ConfigT", bound=BaseModel)
TrackerFactory: TypeAlias = "Callable[[Stage, str, Path], AbstractContextManager[Tracker]]"

RUN_ID = "mlflow_run_id"

__all__ = ["ArtifactRef", "Session", "Stage", "StageContext", "StageResult", "StageRunner"]


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Attributes:
        name: of the stage.
        config: only what can change the result.
        inputs: artifacts it reads, by name.
        body: writes into `context.output` and returns a few numbers for people.
        code: modules that decide the result beside the body's own, which is known, and what they
            import: those that run in another process.
        version: raised by hand when the meaning changes though the code does not.
        experiment: of MLflow, in which each execution is a run; None leaves it untracked.
        needs_device: whether it trains, so that one does at a time on this machine.
        external_inputs: digests of what is read outside the store.
    """

    name: str
    config: BaseModel
    inputs: Mapping[str, ArtifactRef]
    body: Callable[[StageContext], Mapping[str, Any]]
    code: tuple[str, ...] = ()
    version: int = 1
    experiment: str | None = None
    needs_device: bool = False
    external_inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def tracked(self) -> bool:
        """Whether it has an MLflow run of its own."""
        return self.experiment is not None


@dataclass
class StageContext:
    """What a stage's body works with.

    Attributes:
        stage: name of the stage.
        config: of the stage.
        inputs: artifacts it reads, by name.
        output: folder that becomes the artifact.
        state: folder that survives a kill, for going on.
        runtime: device, threads, processes; never part of the result.
        tracker: where figures go.
        lock_fds: file descriptors that a child process inherits, so that it holds the locks too.
        report_progress: called with (share done, words).
        share_state: called with a folder, it publishes what another machine needs to go on; None
            where the store is of this machine alone.
    """

    stage: str
    config: BaseModel
    inputs: Mapping[str, ArtifactRef]
    output: Path
    state: Path
    runtime: RuntimeConfig
    tracker: Tracker
    lock_fds: tuple[int, ...]
    report_progress: Callable[[float, str], None]
    share_state: Callable[[Path], None] | None = None

    def config_as(self, expected: type[ConfigT]) -> ConfigT:
        """The configuration, of the type that the body was written for.

        Raises:
            TypeError: if the stage was wired with another one.
        """
        if not isinstance(self.config, expected):
            message = f"needs a {expected.__name__}, not {type(self.config).__name__}"
            raise TypeError(message)
        return self.config


@dataclass(frozen=True)
class StageResult:
    """What running a stage came to.

    Attributes:
        ref: the artifact.
        cached: whether it was there already.
        seconds: it took, waiting for locks included.
        tracking_run: id of the MLflow run that was written now, if any.
    """

    ref: ArtifactRef
    cached: bool
    seconds: float
    tracking_run: str | None = None


class StageRunner(Protocol):
    """Runs stages, one after the other."""

    def run(self, stage: Stage) -> ArtifactRef:
        """The stage's artifact, made or found."""


@dataclass
class Session:
    """One execution of a pipeline: where artifacts are and what to do again.

    Attributes:
        store: of artifacts.
        runtime: device, threads, processes.
        tracker_factory: makes the tracker of a tracked stage.
        refresh: names of stages to do again, each once.
        on_result: told of every stage.
        on_progress: told of a stage's progress: (stage name, share done, words).
    """

    store: ArtifactStore
    runtime: RuntimeConfig
    tracker_factory: TrackerFactory
    refresh: frozenset[str] = frozenset()
    on_result: Callable[[Stage, StageResult], None] = lambda *_: None
    on_progress: Callable[[str, float, str], None] = lambda *_: None
    refreshed: set[str] = field(default_factory=set)


def key_components(stage: Stage) -> dict[str, Any]:
    """The parts of a stage's key: config, inputs, code by module name, version."""
    inputs = {name: ref.digest for name, ref in stage.inputs.items()}
    return {
        "config": plain_value(stage.config),
        "inputs": inputs | dict(stage.external_inputs),
        "code": closure(stage_modules(stage.body, stage.code)),
        "version": stage.version,
    }


def stage_key(stage: Stage) -> str:
    """Fingerprint of a stage: equal keys give equal artifacts.

    Of the code only the contents count, not what the modules are called.
    """
    parts = key_components(stage)
    return digest_json({"stage": stage.name, **parts, "code": content_digests(parts["code"])})


def run_stage(stage: Stage, session: Session) -> StageResult:
    """The artifact of a stage, found or made.

    Raises:
        StorageError: if the store is damaged, newer or the disk is full.
        UserError: from the body.
    """
    started = time.monotonic()
    store, key = session.store, stage_key(stage)
    to_refresh = stage.name in session.refresh and stage.name not in session.refreshed
    session.refreshed.add(stage.name)
    ref = None if to_refresh else store.find(stage.name, key)
    cached, tracking_run = True, None
    if ref is None:
        reads = [*{item.digest for item in stage.inputs.values()}]
        with store.lock(stage.name, key, reads) as descriptor:
            # A refresh that was killed goes on where it was.
            if to_refresh and not store.refresh_pending(stage.name, key):
                store.discard(stage.name, key)
            ref = store.find(stage.name, key)  # another process may have made it meanwhile
            if ref is None:
                cached = False
                ref, tracking_run = _make(stage, key, session, descriptor)
    result = StageResult(ref, cached, time.monotonic() - started, tracking_run)
    session.on_result(stage, result)
    return result


def _make(
    stage: Stage, key: str, session: Session, descriptor: int
) -> tuple[ArtifactRef, str | None]:
    store = session.store
    with _devices(session) if stage.needs_device else nullcontext(()) as device_descriptors:
        work = store.work(stage.name, key)
        with session.tracker_factory(stage, key, work.state) as tracker:
            context = StageContext(
                stage=stage.name,
                config=stage.config,
                inputs=stage.inputs,
                output=work.output,
                state=work.state,
                runtime=session.runtime,
                tracker=tracker,
                lock_fds=(descriptor, *device_descriptors),
                report_progress=lambda share, words: session.on_progress(stage.name, share, words),
                share_state=store.state_sharer(stage.name, key),
            )
            with translate_disk_errors(work.output):
                meta = stage.body(context)
            tracker.log_summary(meta)
            _remember_run(work.output, tracker.run_id)
            # Before the tracked run is closed: nothing that happens there can cost the result.
            ref = store.commit(stage.name, key, meta=meta, **key_components(stage))
        return ref, tracker.run_id


def _remember_run(output: Path, run_id: str | None) -> None:
    """Keep the id of the tracked run with the artifact, outside its digest."""
    if run_id is not None:
        (output / LOG_FOLDER).mkdir(exist_ok=True)
        (output / LOG_FOLDER / RUN_ID).write_text(run_id)


def tracked_run(ref: ArtifactRef) -> str | None:
    """The id of the MLflow run that tells how an artifact was made, if one does."""
    try:
        return (ref.folder / LOG_FOLDER / RUN_ID).read_text(errors="replace").strip() or None
    except OSError:
        return None


@contextmanager
def _devices(session: Session) -> Iterator[tuple[int, ...]]:
    """Locks of all devices that a training takes, always in the same order."""
    host = socket.gethostname()
    with ExitStack() as held:
        yield tuple(
            held.enter_context(
                hold_lock(
                    # A folder that several machines mount has one lock a machine.
                    session.store.root / "locks" / f"device-{host}-{index}.lock",
                    "trains on this device",
                )
            )
            for index in sorted(session.runtime.device_indices)
        )
