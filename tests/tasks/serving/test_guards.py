"""Bodies that are too large or too slow are refused before they are in memory."""

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from tasks.serving.guards import BodyGuard


def read_by(chunks: list[bytes], headers: list[tuple[bytes, bytes]], pause: float = 0.0) -> bytes:
    """What an application reads behind a guard of 10 bytes, 20 for /files, and 0.2 seconds."""
    body = b""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal body
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        assert (await receive())["type"] == "http.disconnect"

    waiting = [
        {"type": "http.request", "body": chunk, "more_body": place < len(chunks) - 1}
        for place, chunk in enumerate(chunks)
    ] + [{"type": "http.disconnect"}]

    async def receive() -> Any:
        await asyncio.sleep(pause)
        return waiting.pop(0)

    guard = BodyGuard(application, 10, {"/files": 20}, 0.2)
    path = "/files" if len(chunks[0]) > 10 else "/"
    scope = {"type": "http", "path": path, "headers": headers}
    asyncio.run(guard(scope, receive, None))
    return body


def test_a_body_within_bounds_arrives_whole_and_then_the_client_may_go():
    assert read_by([b"12345", b"67890"], [(b"content-length", b"10")]) == b"1234567890"
    assert read_by([b"x" * 20], []) == b"x" * 20


@pytest.mark.parametrize(
    ("chunks", "headers", "code"),
    [
        ([b"12345", b"678901"], [], 413),
        ([b"1"], [(b"content-length", b"11")], 413),
        ([b"1"], [(b"content-length", b"9" * 50)], 413),
        ([b"x" * 21], [], 413),
    ],
)
def test_a_body_that_is_or_will_be_too_large_is_refused(chunks, headers, code):
    with pytest.raises(HTTPException) as error:
        read_by(chunks, headers)
    assert error.value.status_code == code


def test_a_body_has_to_arrive_in_time_as_a_whole():
    with pytest.raises(HTTPException) as error:
        read_by([b"1", b"2", b"3"], [], pause=0.15)
    assert (error.value.status_code, error.value.detail) == (
        408,
        "The body did not arrive within 0.2 seconds.",
    )
