"""Object stores for tests: one in memory, and moto's server of S3 in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from storage.leases import LeaseTiming
from storage.objects import Objects
from storage.shared_artifacts import SharedStore

QUICK = LeaseTiming(beat=0.05, patience=0.4, poll=0.02)
PATIENT = LeaseTiming(beat=0.1, patience=2.0, poll=0.05)
"""For processes of their own on a busy machine."""
SECRET = "planted-secret-3141592653"


def memory_objects() -> Objects:
    """Objects that every store of this process can share."""
    from obstore.store import MemoryStore

    return Objects(MemoryStore(), "memory://store")


def worker(root: Path, objects: Objects, timing: LeaseTiming = QUICK) -> SharedStore:
    """The store of one machine; its folder is its working store."""
    return SharedStore(root, objects, owner=root.name, timing=timing)


@contextmanager
def s3_server(log: Path) -> Iterator[dict[str, str]]:
    """An S3 server with the bucket `bucket`; gives the variables that name it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=file,
            stderr=file,
        )
        try:
            deadline = time.monotonic() + 60
            while not _answers(f"{url}/moto-api/"):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "the S3 server does not start"
                time.sleep(0.05)
            urlopen(Request(f"{url}/bucket", method="PUT")).close()
            yield {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "tests",
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_REGION": "us-east-1",
            }
        finally:
            server.terminate()
            server.wait()


def _answers(url: str) -> bool:
    try:
        urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def without_aws() -> dict[str, str]:
    """The environment without what names an object store."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
