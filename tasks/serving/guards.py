"""Guards before the application: how large a body is, how long it takes, and headers of answers."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
}
"""Of every answer."""


class BodyGuard:
    """Refuses bodies that are too large or arrive too slowly, before they are in memory."""

    def __init__(
        self, app: ASGIApp, largest: int, largest_of: Mapping[str, int], seconds: float
    ) -> None:
        """Guard an application.

        Args:
            app: to call.
            largest: bytes of a body.
            largest_of: other bounds, by path.
            seconds: in which a body has to arrive.
        """
        self.app, self.largest, self.largest_of, self.seconds = app, largest, largest_of, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, which gets an HTTP error of 408 or 413 in place of such a body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        largest = self.largest_of.get(scope["path"], self.largest)
        guarded = _Body(receive, largest, self.seconds, _declared(scope))
        await self.app(scope, guarded.receive, _with_headers(send))


class _Body:
    def __init__(self, receive: Receive, largest: int, seconds: float, declared: int) -> None:
        self.inner, self.largest, self.seconds, self.declared = receive, largest, seconds, declared
        self.size, self.whole, self.deadline = 0, False, 0.0

    async def receive(self) -> Message:
        if self.declared > self.largest:
            raise self._too_large()
        if self.whole:  # what comes now is that the client goes
            return await self.inner()
        now = asyncio.get_running_loop().time()
        self.deadline = self.deadline or now + self.seconds
        try:
            message = await asyncio.wait_for(self.inner(), self.deadline - now)
        except TimeoutError as error:
            sentence = f"The body did not arrive within {self.seconds:g} seconds."
            raise HTTPException(408, sentence) from error
        self.size += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self.size > self.largest:
            raise self._too_large()
        return message

    def _too_large(self) -> HTTPException:
        sentence = f"The body is larger than {self.largest:,} bytes, which no request needs."
        return HTTPException(413, sentence, headers={"connection": "close"})


def _declared(scope: Scope) -> int:
    """Bytes that the client says it will send; 0 where it does not say."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _with_headers(send: Send) -> Send:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            added = [item for item in HEADERS.items() if item[0] not in there]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return sending
