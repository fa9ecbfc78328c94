"""What Prefect's pages show of stages, sent by a thread of its own: no stage waits for a server.

While the server is gone, of a stage's progress the newest is kept, and reports wait their turn.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run, task_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from tasks.engine.lost_run import watching
from tasks.engine.prefect_runs import deployed_run
from tasks.engine.services import ServiceUnreachable, check_prefect

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0
RETRY_SECONDS = 5.0
CLOSING_SECONDS = 10.0
"""How long a run that has ended waits for a server to take what is left."""
OUTAGE_SECONDS = 1800.0
"""How long the run of a deployment waits at its end for a server that is gone: nobody looks on, and
without it neither its reports nor its end would ever be shown."""
CLIENT_SECONDS = 10.0


@dataclass(frozen=True)
class Page:
    """One thing to show.

    Attributes:
        key: of the artifact in Prefect; what replaces what.
        kind: "progress" or "markdown".
        content: percent done, or text.
        description: a few words.
    """

    key: str
    kind: str
    content: float | str
    description: str


class PrefectPages:
    """Pages of the flow run under way, as Prefect artifacts.

    Args:
        send: shows a page of the flow run and task run that are named, and returns the artifact's
            id; changes the artifact of an id that is given. Raises whatever it likes.
    """

    def __init__(self, send: Callable[[Page, dict[str, Any], UUID | None], UUID]) -> None:
        self.send = send
        self.waiting: deque[tuple[Page, dict[str, Any]]] = deque()
        self.changed = threading.Condition()
        self.closed = False
        self.sent_at = {"": time.monotonic()}
        self.artifacts: dict[tuple[str, Any], UUID] = {}
        # The thread sees the settings that hold here, such as the address of a temporary server.
        context = contextvars.copy_context()
        self.thread = threading.Thread(target=context.run, args=(self._work,), daemon=True)
        self.thread.start()

    def show_progress(self, stage: str, share: float, words: str) -> None:
        """A stage's progress, if it is time to show it again."""
        began = self.sent_at.setdefault(stage, time.monotonic())
        if time.monotonic() - began < PROGRESS_SECONDS:
            return
        self.sent_at[stage] = time.monotonic()
        percent = min(100.0, max(0.0, 100.0 * share))
        self._add(Page(f"{_key(stage)}-progress", "progress", percent, words))

    def report(self, stage: str, markdown: str, description: str) -> None:
        """What came of a stage."""
        self._add(Page(_key(stage), "markdown", markdown, description))

    def close(self, seconds: float) -> None:
        """Wait at most some seconds for what is still to be sent, and say what is dropped."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.thread.join(seconds)
        dropped = sorted({page.key for page, _ in self.waiting})
        if dropped:
            logger.warning("Prefect cannot be reached: not shown there: %s", ", ".join(dropped))

    def _add(self, page: Page) -> None:
        runs = {"flow_run_id": flow_run.id, "task_run_id": task_run.id}
        with self.changed:
            if page.kind == "progress":  # an older one that nobody has seen yet is of no use
                self.waiting = deque(item for item in self.waiting if item[0].key != page.key)
            self.waiting.append((page, runs))
            self.changed.notify_all()

    def _work(self) -> None:
        failing = False
        while True:
            with self.changed:
                while not self.waiting:
                    if self.closed:
                        return
                    self.changed.wait()
                page, runs = self.waiting[0]
            try:
                self._show(page, runs)
            except Exception as error:
                if not failing:
                    logger.warning("Prefect took no report, which is tried again: %s", error)
                failing = True
                with self.changed:
                    self.changed.wait(RETRY_SECONDS)
                continue
            failing = False
            with self.changed:
                if self.waiting and self.waiting[0][0] is page:
                    self.waiting.popleft()

    def _show(self, page: Page, runs: dict[str, Any]) -> None:
        shown = (page.key, runs["task_run_id"])
        try:
            self.artifacts[shown] = self.send(page, runs, self.artifacts.get(shown))
        except PrefectHTTPStatusError as error:
            if error.response.is_server_error:
                raise
            logger.warning("Prefect refused %s: %s", page.key, error)  # it would again


def send_page(page: Page, runs: dict[str, Any], artifact: UUID | None) -> UUID:
    """Show a page in Prefect (see `PrefectPages`), at once or not at all."""
    fields = {"data": page.content, "description": page.description}
    patience = httpx.Timeout(CLIENT_SECONDS)
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True, httpx_settings={"timeout": patience}) as client,
    ):
        if artifact is not None:
            client.update_artifact(artifact, ArtifactUpdate(**fields))
            return artifact
        made = ArtifactCreate(key=page.key, type=page.kind, **fields, **runs)
        return client.create_artifact(made).id


def _wait_for_server() -> None:
    """Wait until the server can be told that all stages are finished."""
    deadline, said = time.monotonic() + OUTAGE_SECONDS, False
    while time.monotonic() < deadline:
        try:
            check_prefect()
        except ServiceUnreachable:
            if not said:
                logger.warning("All stages are finished; waiting for a Prefect server to tell.")
            said = True
            time.sleep(RETRY_SECONDS)
        else:
            return


def _key(stage: str) -> str:
    return stage.replace("_", "-")


@contextmanager
def showing() -> Iterator[PrefectPages]:
    """Pages of the flow run under way.

    What is still to be shown at its end gets a few seconds, and that of a deployment's run that
    ends well as long as an outage of the server may take.
    """
    pages, patience = PrefectPages(send_page), CLOSING_SECONDS
    try:
        run_of_worker = deployed_run()
        if run_of_worker is None:
            yield pages
        else:
            with watching(run_of_worker):
                yield pages
                patience = OUTAGE_SECONDS
                _wait_for_server()
    except Exception:
        raise
    except BaseException:
        patience = 0.0  # somebody waits for the end
        raise
    finally:
        pages.close(patience)
