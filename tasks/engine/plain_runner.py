"""Running stages without an orchestrator, for tests, notebooks and debugging."""

from __future__ import annotations

from storage.artifacts import ArtifactRef
from tasks.engine.stage import Session, Stage, run_stage


class PlainRunner:
    """Runs each stage where it is called."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, stage: Stage) -> ArtifactRef:
        """The stage's artifact, made or found."""
        return run_stage(stage, self.session).ref
