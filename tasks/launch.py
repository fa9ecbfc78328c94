"""From what a person asks for to a session that can run stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from phrase_models.errors import ConfigurationError
from phrase_models.generator import GeneratorEntry
from phrase_models.generators import generator_entry
from phrase_models.sources.registry import find_source
from phrase_models.sources.source import CorpusComposer
from storage.artifacts import KEY_LETTERS, ArtifactRef, ArtifactStore
from storage.explain import explain
from storage.fingerprint import digest_json, plain_value
from storage.locks import hold_lock
from storage.opening import existing_store, open_store
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.progress import ConsoleProgress
from tasks.engine.runtime import RuntimeConfig, default_runtime
from tasks.engine.stage import Session, Stage, StageResult, StageRunner, key_components, stage_key
from tasks.engine.tracking import Tracking
from tasks.interruption import Stopped
from tasks.promotion.execution import execution_of
from tasks.settings.choices import EngineName, PresetName, SourceName, StageName
from tasks.settings.engines import NumWorkers
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.presets import load_preset
from tasks.stages.registry import STAGE_NAMES
from tasks.store_address import asked_store


class Request(BaseModel):
    """What a person asks for; Prefect draws a form of it.

    Attributes:
        preset: smoke, demo, cpu, ablation, base or paper.
        source: a registered source of songs; the preset's own by default.
        data: folder that the source reads.
        store: where artifacts are: a folder, file:///folder or s3://bucket/prefix; by default what
            PHRASE_LDM_STORE names on the machine that runs it, else the folder "store".
        overrides: dotted settings, such as {"vae.num_queries": "8"}.
        refresh: stages to do again though nothing has changed, or "all".
        latent_dim: size of a phrase's latent, for experiments.
        seed: of every training and of generation, for experiments.
        num_workers: of data stages; a worker a core by default.
        engine: of data stages: processes, dask or ray; by default what PHRASELDM_ENGINE names on
            the machine that runs it, else processes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: PresetName = "smoke"
    source: SourceName | None = None
    data: str | None = None
    store: str | None = None
    overrides: dict[str, str] = Field(default_factory=dict)
    refresh: list[StageName] = Field(default_factory=list)
    latent_dim: int | None = None
    seed: int | None = None
    num_workers: NumWorkers = None
    engine: EngineName | None = None


@dataclass
class Launch:
    """A checked request, ready to run.

    `store` is the folder of this machine, be it the store or a working store of a shared one.

    What is not `recorded` leaves its artifacts in the store but is not what `generate` and the
    other commands take as the newest run.
    """

    config: PipelineConfig
    generator: GeneratorEntry
    data: Path | None
    store: Path
    refresh: tuple[str, ...]
    runtime: RuntimeConfig
    request: Request
    orchestrated: bool
    results: dict[str, StageResult] = field(default_factory=dict)
    tracked: bool = False
    recorded: bool = True
    progress: ConsoleProgress = field(default_factory=lambda: ConsoleProgress(Console()))

    def flow_parameters(self) -> dict[str, Any]:
        """The parameters with which the flow repeats this request."""
        return self.request.model_dump()

    def folders(self) -> dict[str, str]:
        """Folder of every artifact of this run, by stage."""
        return {name: str(result.ref.folder) for name, result in self.results.items()}

    @contextmanager
    def running(self) -> Iterator[StageRunner]:
        """A runner for the stages; the run is recorded, and tracked, when it ends well.

        Of two equal requests the second one waits, and then finds everything done.

        Raises:
            ServiceUnreachable: if an MLflow server is named and does not answer.
            StorageError: if a shared store does not answer, or refuses access.
            Stopped: if a person ends the run, with what is kept.
        """
        tracking = Tracking(self.store, enabled=self.runtime.tracking)
        tracking.check()
        store = open_store(self.store)
        store.check_access()
        session = Session(
            store=store,
            runtime=self.runtime,
            tracker_factory=tracking.tracker_of_stage,
            refresh=frozenset(self.refresh),
            on_result=self._remember,
            on_progress=self.progress.show,
        )
        with ExitStack() as stack:
            stack.enter_context(self._alone())
            tracking.send_waiting()
            make_runner: Callable[[Session], StageRunner] = PlainRunner
            if self.orchestrated:
                from tasks.engine.prefect_pages import showing
                from tasks.engine.prefect_runner import PrefectRunner, flow_run_tags
                from tasks.engine.prefect_runs import words_of_request

                tracking.origin = flow_run_tags()
                asked = words_of_request(self.flow_parameters())
                pages = stack.enter_context(showing())
                make_runner = partial(PrefectRunner, pages=pages, asked=asked)
            try:
                yield make_runner(session)
            except Stopped as stopped:
                raise Stopped(self._kept()) from stopped
            finally:
                self.progress.stop()
            if self.recorded:
                self._record(session.store, tracking)
            tracking.send_waiting()

    def _alone(self) -> AbstractContextManager[int]:
        """The lock of all runs of this request in this store."""
        data = None if self.data is None else str(self.data.resolve())
        asked = digest_json({"config": plain_value(self.config), "data": data})
        path = self.store / "locks" / f"run-{asked[:KEY_LETTERS]}.lock"
        return hold_lock(path, "runs the same pipeline")

    def _kept(self) -> str:
        if not self.results:
            return "Stopped before the first stage was finished: run the same command to go on."
        return (
            f"Stopped: all that was finished is kept, up to {[*self.results][-1]}, and a training "
            "goes on from its last checkpoint: run the same command to go on."
        )

    def _remember(self, stage: Stage, result: StageResult) -> None:
        self.results[stage.name] = result
        self.tracked = self.tracked or stage.tracked
        self.progress.finished(stage, result)

    def _record(self, store: ArtifactStore, tracking: Tracking) -> None:
        stages = [
            {"name": name, "cached": result.cached, "seconds": round(result.seconds, 3)}
            for name, result in self.results.items()
        ]
        generation = self.config.generation.model_dump(mode="json")
        refs = {name: result.ref for name, result in self.results.items()}
        store.record_run(
            self.config.preset,
            refs,
            {
                "stages": stages,
                "generation": generation,
                "config": self.config.model_dump(mode="json"),
            },
        )
        if self.tracked:
            tracking.log_pipeline(self.config, execution_of(self.config, refs, store))

    def explain(self, name: str, compose: Callable[[StageRunner, Launch], None]) -> list[str]:
        """Why a stage is or is not up to date, walking the stages before it without running any."""
        store = existing_store(self.store)
        reached = self.walk_to(name, compose)
        if isinstance(reached, Stage):
            return _differences(store, reached)
        return reached

    def walk_to(
        self, name: str, compose: Callable[[StageRunner, Launch], None]
    ) -> Stage | list[str]:
        """A stage as it would run now, without running any.

        Returns:
            The stage, or why it cannot be known: it is no part of this pipeline, or a stage before
            it is not up to date.
        """
        try:
            compose(_Walker(open_store(self.store), name), self)
        except _Reached as end:
            return end.reached
        return [f"{name} is no part of this pipeline with source {self.config.source.name}."]


class _Reached(Exception):  # noqa: N818 - carries an answer, not a failure
    def __init__(self, reached: Stage | list[str]) -> None:
        super().__init__()
        self.reached = reached


class _Walker:
    """A runner that looks stages up, and stops at the one asked for or the first one not done."""

    def __init__(self, store: ArtifactStore, name: str) -> None:
        self.store, self.name = store, name

    def run(self, stage: Stage) -> ArtifactRef:
        if stage.name == self.name:
            raise _Reached(stage)
        ref = self.store.find(stage.name, stage_key(stage))
        if ref is None:
            message = f"{self.name} comes after {stage.name}, which is not up to date:"
            raise _Reached([message, *_differences(self.store, stage)])
        return ref


def _differences(store: ArtifactStore, stage: Stage) -> list[str]:
    lines = explain(store, stage.name, stage_key(stage), **key_components(stage))
    return [f"{stage.name}: {line}" for line in lines]


def launch(request: Request, *, orchestrated: bool) -> Launch:
    """Check a request.

    Args:
        request: what is asked for.
        orchestrated: whether Prefect runs the stages.

    Raises:
        ConfigurationError: with a plain sentence for anything that cannot be met.
    """
    store = asked_store(request.store)
    config = load_preset(request.preset).with_overrides(_settings(request))
    return Launch(
        config=config,
        generator=generator_entry(config.generation.generator),
        data=check_data(config, Path(request.data) if request.data else None),
        store=store,
        refresh=check_refresh(request.refresh),
        runtime=default_runtime(request.num_workers, request.engine),
        request=request,
        orchestrated=orchestrated,
    )


def _settings(request: Request) -> dict[str, str]:
    """The overrides, with the shorthands spelt out."""
    settings = dict(request.overrides)
    if request.source is not None:
        settings["source.name"] = request.source
    if request.latent_dim is not None:
        settings["vae.latent_dim"] = str(request.latent_dim)
    if request.seed is not None:
        settings["seed"] = str(request.seed)
    return settings


def check_data(config: PipelineConfig, data: Path | None) -> Path | None:
    """The data folder that the source reads, or None where it composes its songs.

    Raises:
        ConfigurationError: if it is missing, or the source's songs are not in it.
    """
    source = find_source(config.source.name)
    if isinstance(source, CorpusComposer):
        return None
    if data is None:
        message = f"Source {config.source.name} needs --data: {source.folder_holds}."
        raise ConfigurationError(message)
    source.check_folder(data)
    return data


def check_refresh(names: Sequence[str]) -> tuple[str, ...]:
    """Stage names to refresh.

    Raises:
        ConfigurationError: for a name that is no stage.
    """
    if "all" in names:
        return STAGE_NAMES
    unknown = [name for name in names if name not in STAGE_NAMES]
    if unknown:
        message = (
            f"There is no stage {unknown[0]!r} to refresh; there are {', '.join(STAGE_NAMES)}."
        )
        raise ConfigurationError(message)
    return tuple(names)
