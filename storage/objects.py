"""An object store reached by URL: whole objects, listed by name, written only if unchanged.

Endpoint, region and credentials come from the usual AWS_* variables, which obstore reads itself;
nothing here holds, shows or logs them, and what a server answers is told by its code alone.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from storage.errors import StorageError, StoreRefused, StoreUnreachable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEME = "s3"
RETRY_SECONDS = 30
MAX_RETRIES = 8
"""Within a call, for what passes in seconds."""
OUTAGE_SECONDS = 600.0
"""For which runs under way wait for a store that was there when they started."""
PAUSE_SECONDS = 5.0
CHUNK_BYTES = 8 << 20
PARTS_AT_ONCE = 4
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3} [\w ]+)")
_WRITER = "writer"
_MISSING_BUCKET = "NoSuchBucket"


_logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


def _patient(
    call: Callable[Concatenate[Objects, P], T],
) -> Callable[Concatenate[Objects, P], T]:
    """Try again for as long as the patience lasts while the store does not answer."""

    @wraps(call)
    def tried(objects: Objects, /, *args: P.args, **kwargs: P.kwargs) -> T:
        begun = time.monotonic()
        while True:
            try:
                answer = call(objects, *args, **kwargs)
            except StoreUnreachable as error:
                if time.monotonic() - begun >= objects.patience:
                    raise
                objects.say_once(error)
                time.sleep(PAUSE_SECONDS)
            else:
                objects.is_away = False
                return answer

    return tried


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a listing.

    Attributes:
        name: below the store's prefix.
        bytes: its size.
        modified: when it was written, by the clock of the object store.
        version: changes whenever it is written with another content.
    """

    name: str
    bytes: int
    modified: datetime
    version: str


@dataclass(frozen=True, slots=True)
class ReadObject:
    """An object's content, with the version that this is, and who wrote it if that was said."""

    content: bytes
    info: ObjectInfo
    writer: str = ""

    @property
    def version(self) -> str:
        """Of the content."""
        return self.info.version


class Objects:
    """Objects below one URL.

    Args:
        store: obstore's.
        url: what people call it.

    Attributes:
        patience: seconds for which a store that does not answer is tried again. What was written
            meanwhile without an answer may then be found as another's: ask for what is there.
        is_away: whether it was said that the store does not answer, and it has not since. Several
            threads wait for it at once, and people want to read that once.
    """

    def __init__(self, store: ObjectStore, url: str) -> None:
        self._store, self.url, self.patience = store, url, 0.0
        self.is_away = False

    def say_once(self, error: StoreUnreachable) -> None:
        """Warn that the store is tried again, unless that was said since it answered last."""
        if not self.is_away:
            self.is_away = True
            _logger.warning(
                "%s That is for later: it is tried for %.0f s more.", error, self.patience
            )

    def shown(self, name: str) -> str:
        """An object's whole address, for people."""
        return f"{self.url}/{name}"

    @_patient
    def get(self, name: str) -> ReadObject | None:
        """An object's content, or None where there is none.

        Raises:
            StoreUnreachable: if the store does not answer.
            StoreRefused: if it refuses access, or the bucket does not exist.
        """
        import obstore

        with self._plain_errors():
            try:
                found = obstore.get(self._store, name)
                content = bytes(found.bytes())
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None
            writer = found.attributes.get(_WRITER, "")
            return ReadObject(content, _info(found.meta), writer)

    @_patient
    def create(self, name: str, content: bytes, writer: str = "") -> str | None:
        """Write an object that is not there yet; None if it is.  Raises as `get`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._plain_errors():
            try:
                put = obstore.put(
                    self._store, name, content, mode="create", attributes=_told(writer)
                )
            except (AlreadyExistsError, PreconditionError):
                return None
            return put["e_tag"] or ""

    @_patient
    def replace(self, name: str, content: bytes, version: str, writer: str = "") -> str | None:
        """Write over a version that was read; None if the object is no longer it.  Raises as `get`.

        Returns:
            The new version.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._plain_errors():
            try:
                put = obstore.put(
                    self._store, name, content, mode={"e_tag": version}, attributes=_told(writer)
                )
            except (AlreadyExistsError, PreconditionError, FileNotFoundError):
                return None
            return put["e_tag"] or ""

    @_patient
    def upload(self, name: str, path: Path) -> None:
        """Write a file's content, over whatever is there.  Raises as `get`."""
        import obstore

        empty = path.stat().st_size == 0  # an upload in parts of which there are none is refused
        with self._plain_errors():
            content = b"" if empty else path
            obstore.put(self._store, name, content, max_concurrency=PARTS_AT_ONCE)

    @_patient
    def download(self, name: str) -> Iterator[bytes] | None:
        """The content of an object in pieces, or None where there is none.  Raises as `get`."""
        import obstore

        with self._plain_errors():
            try:
                stream = obstore.get(self._store, name).stream(min_chunk_size=CHUNK_BYTES)
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None
        return self._pieces(stream)

    def _pieces(self, stream: Iterable[object]) -> Iterator[bytes]:
        with self._plain_errors():
            for piece in stream:
                yield bytes(piece)  # type: ignore[call-overload]

    @_patient
    def list(self, prefix: str) -> list[ObjectInfo]:
        """The objects below a folder, sorted by name.  Raises as `get`."""
        import obstore

        with self._plain_errors():
            pages = obstore.list(self._store, prefix)
            found = [_info(item) for page in pages for item in page]
        return sorted(found, key=lambda item: item.name)

    @_patient
    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are gone already are no error.  Raises as `get`."""
        import obstore

        listed = [*names]
        with self._plain_errors():
            if listed:
                obstore.delete(self._store, listed)

    def _check_bucket(self, error: FileNotFoundError) -> None:
        if _MISSING_BUCKET in str(error):
            raise error

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """One sentence for whatever the store answers; its own text may name what is private."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StoreRefused(
                f"The shared store {self.url} refuses access ({_answer(error)}): check "
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do."
            ) from None
        except (BaseError, FileNotFoundError) as error:
            if _MISSING_BUCKET in str(error):
                raise StoreRefused(
                    f"There is no bucket for the shared store {self.url}: make it, or correct the "
                    "address or AWS_ENDPOINT_URL."
                ) from None
            raise StoreUnreachable(
                f"The shared store {self.url} does not answer as it should ({_answer(error)}): "
                "check AWS_ENDPOINT_URL, the credentials in AWS_* and the network, and run the "
                "same command again; nothing that was finished is lost."
            ) from None


def open_objects(url: str) -> Objects:
    """The objects below an address such as s3://bucket/prefix; nothing is asked of it yet.

    Raises:
        StorageError: if the environment describes the store wrongly.
    """
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    parts = urlsplit(url)
    plain_http = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"1", "true", "yes"}
    try:
        store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={"allow_http": plain_http or allowed, "timeout": "60s"},
            retry_config={
                "max_retries": MAX_RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            },
        )
    except (BaseError, ValueError):
        raise StorageError(
            f"The AWS_* variables do not describe a store for {url}: correct them."
        ) from None
    return Objects(store, url.rstrip("/"))


def _told(writer: str) -> dict[str, str] | None:
    """Who writes an object, as its metadata, which is ASCII."""
    return {_WRITER: writer.encode("ascii", "replace").decode()} if writer else None


def _info(meta: object) -> ObjectInfo:
    item: dict[str, object] = dict(meta)  # type: ignore[call-overload]
    modified = item["last_modified"]
    if not isinstance(modified, datetime):
        raise TypeError("an object's time is no time")
    size = int(str(item["size"]))
    return ObjectInfo(str(item["path"]), size, modified, str(item["e_tag"] or ""))


def _answer(error: Exception) -> str:
    """What a store answered, without the text around it."""
    text = str(error)
    for pattern in (_CODE, _STATUS):
        found = pattern.search(text)
        if found:
            return found.group(1).strip()
    return "no answer"
