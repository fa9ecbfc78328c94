"""What one stage is, whatever it is run with: all that other modules need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tasks.engine.stage import Stage

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef

CURVES = "log/learning_curves.png"


@dataclass(frozen=True)
class StageKind:
    """The definition of a stage, which stands as `STAGE` in the module that is named as it.

    Attributes:
        name: of the stage and of its module.
        body: writes into `context.output` and returns a few numbers for people.
        reads: names of the stages whose artifacts it may read; they come before it.
        code: modules that decide the result beside the body's own, with all they import: those
            that run in another process.
        experiment: of MLflow, in which each execution is a run; None leaves it untracked.
        trains: whether it trains, so that one does at a time on a device.
        scores: whether it measures how much of held-out songs an autoencoder gives back.
        side: whether it is off the road from songs to metrics; `sweep` and `baseline` run these.
        shown: files and folders of the artifact that MLflow keeps with the run of a pipeline.
        version: raised by hand when the meaning changes though the code does not.
    """

    name: str
    body: Callable[..., Mapping[str, Any]]
    reads: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    experiment: str | None = None
    trains: bool = False
    scores: bool = False
    side: bool = False
    shown: tuple[str, ...] = ()
    version: int = 1

    @property
    def kept_with_runs(self) -> tuple[tuple[str, str | None], ...]:
        """Files of the artifact that MLflow keeps with the run of a pipeline, and where there.

        Of every training these are its curves.
        """
        curves = (CURVES,) if self.trains else ()
        return tuple((path, None) for path in self.shown) + tuple(
            (path, self.name) for path in curves
        )

    def configured(
        self,
        config: BaseModel,
        inputs: Mapping[str, ArtifactRef],
        *,
        more_code: Sequence[str] = (),
        external_inputs: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> Stage:
        """The stage, ready to run.

        Args:
            config: only what can change the result.
            inputs: artifacts it reads, by name.
            more_code: modules that decide the result with this configuration alone, such as that
                of a source or a generator.
            external_inputs: digests of what is read outside the store.
            arguments: further ones of the body, such as the folder of what is read outside.

        Raises:
            ValueError: for the artifact of a stage that it does not say it reads.
        """
        unsaid = {ref.stage for ref in inputs.values()} - {*self.reads}
        if unsaid:
            message = f"stage {self.name} does not say that it reads {', '.join(sorted(unsaid))}"
            raise ValueError(message)
        return Stage(
            name=self.name,
            config=config,
            inputs=inputs,
            body=partial(self.body, **arguments) if arguments else self.body,
            code=(*self.code, *more_code),
            version=self.version,
            experiment=self.experiment,
            needs_device=self.trains,
            external_inputs=external_inputs or {},
        )
