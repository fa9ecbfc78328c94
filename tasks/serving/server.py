"""`phraseldm serve`: models loaded once, then songs over HTTP until a signal."""

import asyncio
import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch
import uvicorn
from rich.console import Console

from phrase_models.errors import ConfigurationError
from tasks.interruption import Stopped
from tasks.music.songs import PHRASE_LDM, find_models
from tasks.serving.application import build_application
from tasks.serving.limits import ServingLimits
from tasks.serving.song_writer import SongWriter

console = Console()
STOPPED = "Stopped: songs that were not finished are dropped."
OPEN_CONNECTIONS = 256


def serve(
    store: Path,
    model: Path | None,
    host: str,
    port: int,
    *,
    threads: int | None = None,
    queue_size: int = 16,
    wait_seconds: float = 120.0,
) -> None:
    """Serve songs until a signal.

    Args:
        store: whose newest models are used, where it has any; see `find_models`.
        model: folder of a release to use instead.
        host: address to listen at.
        port: 0 for any that is free.
        threads: of torch, or None for its own choice; songs do not depend on it.
        queue_size: songs that may wait.
        wait_seconds: that a client waits for a song before it is told to ask for a job.

    Raises:
        ConfigurationError: if the address cannot be listened at, or the models not be loaded.
        StorageError: if there are no models, or a store is damaged.
        Stopped: at the end.
    """
    listening = bound_socket(host, port)
    with listening:
        models = find_models(store, model, PHRASE_LDM)
        if threads is not None:
            torch.set_num_threads(threads)
        limits = ServingLimits(queue_size=queue_size, wait_seconds=wait_seconds)
        where, loopback = listening.getsockname(), is_loopback(listening.getsockname()[0])
        if not loopback:
            console.print(
                f"{host} is not this computer alone: whoever reaches it can ask for songs, without "
                "a password and unencrypted; put a proxy before it that asks for both.",
                soft_wrap=True,
            )
        application = build_application(SongWriter(models), limits, loopback=loopback)
        name = f"[{where[0]}]" if listening.family == socket.AF_INET6 else where[0]
        words = (
            f"Ready at http://{name}:{where[1]}, process {os.getpid()}, songs by {models.words}; "
            "Ctrl-C ends it."
        )
        config = uvicorn.Config(
            application,
            loop="asyncio",
            http="h11",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=OPEN_CONNECTIONS,
            timeout_graceful_shutdown=limits.stop_seconds,
        )
        server = _Server(config, lambda: _say(words), application.state.service.queue.close)
        try:
            asyncio.run(server.serve(sockets=[listening]))
        except Stopped as error:
            raise Stopped(STOPPED) from error
        except OSError as error:  # another program was quicker to listen
            raise ConfigurationError(_sentence(error, host, port)) from error


def _say(words: str) -> None:
    console.print(words, soft_wrap=True, markup=False, highlight=False)


class _Server(uvicorn.Server):
    """Tells when it is ready, and drops what waits as soon as a signal comes."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], drop: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.ready, self.drop = ready, drop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; then say that it is ready."""
        await super().startup(sockets)
        self.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's; songs are dropped by a thread, for this one may hold the queue's lock."""
        super().handle_exit(sig, frame)
        threading.Thread(target=self.drop, daemon=True).start()


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket at an address, which does not listen yet.

    Raises:
        ConfigurationError: if the address is taken, or none of this computer.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        message = f"--host {host[:60]!r} is no address of this computer, such as 127.0.0.1."
        raise ConfigurationError(message) from error
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        raise ConfigurationError(_sentence(error, host, port)) from error
    return found


def _sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken by another program; name another with --port."
    if error.errno == errno.EACCES:
        return f"You may not listen at port {port}; name one from 1024 on with --port."
    return f"--host {host[:60]!r} is no address of this computer, such as 127.0.0.1."


def is_loopback(address: str) -> bool:
    """Whether only this computer reaches an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
