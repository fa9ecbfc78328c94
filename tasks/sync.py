"""Sending to MLflow what waits in a store."""

from pathlib import Path

from storage.errors import MissingArtifact
from tasks.engine.services import ServiceUnreachable
from tasks.engine.tracking import Tracking


def send_waiting(store: Path) -> str:
    """Send to MLflow what waits in a store; says what came of it.

    Raises:
        MissingArtifact: if there is no store.
        ServiceUnreachable: if MLflow does not take all of it.
    """
    if not (store / "store.json").exists():
        message = f"There is no store at {store}: name one with --store."
        raise MissingArtifact(message)
    tracking = Tracking(store)
    tracking.check()
    outcome = tracking.send_waiting()
    if outcome.left:
        message = f"{outcome.left} runs still wait in {tracking.waiting}: try again later."
        raise ServiceUnreachable(message)
    return f"{outcome.sent} runs were sent to MLflow; nothing waits."
