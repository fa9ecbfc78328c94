"""What Prefect shows of stages is sent by a thread, whatever the server does meanwhile."""

import threading
import time
from uuid import uuid4

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from tasks.engine import prefect_pages
from tasks.engine.prefect_pages import Page, PrefectPages


class Server:
    """Takes pages while it is there, and remembers them."""

    def __init__(self) -> None:
        self.there, self.asked = threading.Event(), threading.Event()
        self.there.set()
        self.shown: list[tuple[Page, bool]] = []

    def send(self, page, runs, artifact):
        self.asked.set()
        if not self.there.is_set():
            raise httpx.ConnectError("nobody answers")
        self.shown.append((page, artifact is not None))
        return artifact or uuid4()


@pytest.fixture
def server(monkeypatch) -> Server:
    monkeypatch.setattr(prefect_pages, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(prefect_pages, "RETRY_SECONDS", 0.02)
    return Server()


def wait_until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_progress_changes_one_artifact_and_a_report_is_one_of_its_own(server):
    pages = PrefectPages(server.send)
    for count, share in enumerate((0.25, 1.5), start=1):
        pages.show_progress("train_vae", share, f"{share}")
        wait_until(lambda count=count: len(server.shown) == count)
    pages.report("train_vae", "## train_vae", "1 s")
    pages.close(0.3)
    assert [(page.key, page.kind, page.content, known) for page, known in server.shown] == [
        ("train-vae-progress", "progress", 25.0, False),
        ("train-vae-progress", "progress", 100.0, True),
        ("train-vae", "markdown", "## train_vae", False),
    ]


def test_while_the_server_is_gone_nobody_waits_and_afterwards_all_that_counts_is_shown(server):
    pages = PrefectPages(server.send)
    server.there.clear()
    began = time.monotonic()
    pages.report("ingest_songs", "## ingest_songs", "1 s")
    for share in (0.1, 0.2, 0.3):
        pages.show_progress("train_vae", share, f"{share}")
    assert time.monotonic() - began < 3
    assert server.asked.wait(5)
    server.there.set()
    wait_until(lambda: len(server.shown) == 2)
    pages.close(0.3)
    assert [(page.key, page.content) for page, _ in server.shown] == [
        ("ingest-songs", "## ingest_songs"),
        ("train-vae-progress", pytest.approx(30.0)),
    ]


def test_at_the_end_of_a_run_a_server_that_is_gone_costs_seconds_and_a_warning(server, caplog):
    pages = PrefectPages(server.send)
    server.there.clear()
    pages.report("train_vae", "## train_vae", "1 s")
    began = time.monotonic()
    pages.close(0.3)
    assert time.monotonic() - began < 10
    assert "Prefect cannot be reached: not shown there: train-vae" in caplog.messages


def test_what_the_server_refuses_is_not_sent_again(server, caplog):
    request = httpx.Request("POST", "http://127.0.0.1/api/artifacts/")
    response = httpx.Response(422, request=request)
    calls = []

    def refuse(page, runs, artifact):
        calls.append(page.key)
        raise PrefectHTTPStatusError("unprocessable", request=request, response=response)

    pages = PrefectPages(refuse)
    pages.report("train_vae", "## train_vae", "1 s")
    pages.close(0.3)
    assert calls == ["train-vae"]
    assert "Prefect refused train-vae: unprocessable" in caplog.messages
