"""The application: songs, jobs, health and pages over one queue; no path is made of a request."""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import Body, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tasks.errors import plain_sentence
from tasks.serving.guards import BodyGuard
from tasks.serving.limits import ServingLimits
from tasks.serving.pages import DOCS_POLICY, FORM_PAGE, FORM_POLICY, docs_page
from tasks.serving.requests import (
    AccompanyRequest,
    GenerateRequest,
    JobStatus,
    Problem,
    fault_sentence,
)
from tasks.serving.song_queue import DroppedError, Job, QueueFullError, SongQueue
from tasks.serving.song_writer import SongWriter, Writing, WrittenSong

if TYPE_CHECKING:
    from starlette.types import Message

MIDI, JSON, HTML = "audio/midi", "application/json", "text/html"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")
CHECKED_AT_ONCE = 2
"""Requests that are read and checked at a time, beside the song that is made."""
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {MIDI: {}, JSON: {}, HTML: {}}, "description": "The song."},
    **{
        code: {"model": Problem, "description": words}
        for code, words in {
            406: "None of the types that are accepted can be sent.",
            408: "The body arrived too slowly.",
            413: "The body is too large.",
            422: "The request cannot be met.",
            503: "The queue is full, or the server is ending.",
            504: "The song was not ready in time.",
        }.items()
    },
}
_GONE = Response(status_code=499)  # nobody reads it


def version() -> str:
    """Of this program."""
    try:
        return importlib.metadata.version("phrase-ldm")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


class SongService:
    """What the addresses share: the models, the queue before them, and the limits."""

    def __init__(self, writer: SongWriter, limits: ServingLimits) -> None:
        self.writer, self.limits = writer, limits
        self.queue: SongQueue[WrittenSong] = SongQueue(
            limits.queue_size, kept_jobs=limits.kept_jobs, kept_seconds=limits.kept_seconds
        )
        self.checking = CapacityLimiter(CHECKED_AT_ONCE)

    async def place(self, read: Callable[[], Writing], *, kept: bool) -> Job[WrittenSong]:
        """Check a request and put it into the queue.

        Raises:
            HTTPException: 422 if it cannot be met, 503 if there is no place.
        """
        try:
            writing = await to_thread.run_sync(read, limiter=self.checking)
            return self.queue.submit(writing, kept=kept)
        except QueueFullError as error:
            raise HTTPException(
                503, str(error), headers={"retry-after": str(error.seconds)}
            ) from error
        except DroppedError as error:
            raise _ending() from error
        except Exception as error:
            sentence = plain_sentence(error)
            if sentence is None:
                raise
            raise HTTPException(422, sentence) from error

    async def made(self, read: Callable[[], Writing], request: Request) -> WrittenSong | None:
        """A song, waited for; None if the client went away.

        Raises:
            HTTPException: as `place`; 504 if it took too long, 503 if the server ends.
        """
        job = await self.place(read, kept=False)
        song = asyncio.wrap_future(job.future)
        song.add_done_callback(_seen)
        gone = asyncio.ensure_future(_gone(request.receive))
        waited_for: set[asyncio.Future[Any]] = {song, gone}
        try:
            await asyncio.wait(
                waited_for,
                timeout=self.limits.wait_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if job.future.done():
                return result_of(job.future)
            if gone.done():
                return None
        finally:
            gone.cancel()
            if not job.future.done():
                self.queue.drop(job)
        sentence = (
            f"The song was not ready within {self.limits.wait_seconds:g} seconds; ask for it with "
            "POST /jobs."
        )
        raise HTTPException(504, sentence)

    def job(self, number: str) -> Job[WrittenSong]:
        """A job that is kept.

        Raises:
            HTTPException: 404 if there is none.
        """
        job = self.queue.find(number)
        if job is None:
            sentence = (
                f"There is no such job; finished ones are kept for {self.limits.kept_seconds:g} "
                f"seconds, the newest {self.limits.kept_jobs}."
            )
            raise HTTPException(404, sentence)
        return job

    def status(self, job: Job[WrittenSong]) -> JobStatus:
        """How far a job is."""
        state = job.state
        error = None
        if state == "failed":
            error = _sentence_of(job.future.exception() if not job.future.cancelled() else None)
        return JobStatus(
            id=job.number,
            state=state,
            progress=job.progress,
            position=self.queue.position(job),
            error=error,
        )


def _seen(song: asyncio.Future[WrittenSong]) -> None:
    """Have asyncio not complain of the failure of a song that nobody waits for any more."""
    if not song.cancelled():
        song.exception()


async def _gone(receive: Callable[[], Awaitable[Message]]) -> None:
    """Return when the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def result_of(song: Future[WrittenSong]) -> WrittenSong:
    """A song that is finished.

    Raises:
        HTTPException: if it could not be made.
    """
    if song.cancelled():
        raise _ending()
    error = song.exception()
    if error is None:
        return song.result()
    if isinstance(error, DroppedError):
        raise _ending()
    raise HTTPException(500 if plain_sentence(error) is None else 422, _sentence_of(error))


def _sentence_of(error: BaseException | None) -> str:
    sentence = None if error is None else plain_sentence(error)
    return sentence or "The song could not be made; the log of the server says why."


def _ending() -> HTTPException:
    return HTTPException(503, "The server is ending and makes no more songs.")


def wanted_type(accept: str) -> str:
    """The type of the answer by an Accept header: the first that can be sent, MIDI where any does.

    Raises:
        HTTPException: 406 if none can.
    """
    for part in accept.split(","):
        kind = part.split(";")[0].strip().lower()
        if kind in (MIDI, JSON, HTML):
            return kind
        if kind in ("*/*", "audio/*", ""):
            return MIDI
    raise HTTPException(406, f"Songs are sent as {MIDI}, {JSON} or {HTML}; accept one of them.")


async def answer_of(song: WrittenSong, kind: str) -> Response:
    """A song in the type that is wanted."""
    name = f'attachment; filename="{song.song.name}.mid"'
    if kind == MIDI:
        headers = {"content-disposition": name}
        if song.said:
            headers["x-phraseldm-reading"] = song.said[0]
        return Response(song.midi, media_type=MIDI, headers=headers)
    if kind == HTML:
        return HTMLResponse(await to_thread.run_sync(lambda: song.page))
    midi = base64.b64encode(song.midi).decode("ascii")
    return JSONResponse({"song": song.description, "said": song.said, "midi": midi})


def build_application(
    writer: SongWriter, limits: ServingLimits, *, loopback: bool = True
) -> FastAPI:
    """The application around loaded models.

    Args:
        writer: the models.
        limits: of requests, queue and time.
        loopback: whether only this computer may ask; requests to other host names are then
            refused, which a page of a stranger could make through a name of its own.
    """
    service = SongService(writer, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.queue.close()

    app = FastAPI(
        title="phraseldm",
        version=version(),
        summary="Whole pop songs as MIDI files by phrase-level latent diffusion.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    app.add_middleware(
        BodyGuard,
        largest=limits.json_bytes,
        largest_of={"/accompany": limits.midi_bytes},
        seconds=limits.body_seconds,
    )
    if loopback:
        app.add_middleware(
            TrustedHostMiddleware, allowed_hosts=[*LOOPBACK_NAMES], www_redirect=False
        )
    _add_errors(app)
    _add_songs(app, service)
    _add_jobs(app, service)
    _add_pages(app, service)
    return app


def _add_errors(app: FastAPI) -> None:
    """One sentence in JSON, whatever is wrong."""

    @app.exception_handler(RequestValidationError)
    async def refused(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": fault_sentence(error.errors())}, 422)

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> JSONResponse:
        words = {404: "There is nothing here", 405: "That method is not known here"}
        plain = {"Not Found", "Method Not Allowed"}
        sentence = f"{words[error.status_code]}; see /docs." if error.detail in plain else ""
        detail = sentence or error.detail
        return JSONResponse({"detail": detail}, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> JSONResponse:
        sentence = "The server failed at this; its log says why."
        return JSONResponse({"detail": sentence}, 500)


def _add_songs(app: FastAPI, service: SongService) -> None:
    @app.post("/generate", responses=_ANSWERS, response_class=Response)
    async def generate(request: Request, asked: GenerateRequest) -> Response:
        """A song, the same that `phraseldm generate` writes for the same seed and index.

        As a MIDI file; with `Accept: application/json` as its description and the file in base64;
        with `Accept: text/html` as a page to look at and listen to.
        """
        kind = wanted_type(request.headers.get("accept", ""))
        song = await service.made(lambda: service.writer.generation(asked), request)
        return _GONE if song is None else await answer_of(song, kind)

    @app.post(
        "/accompany",
        responses=_ANSWERS,
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": {MIDI: {}}}},
    )
    async def accompany(request: Request, asked: Annotated[AccompanyRequest, Query()]) -> Response:
        """The instruments of a MIDI file that are kept, to the note, and the others written anew.

        The body is the file, of type audio/midi. What became of its notes when they were read is
        in `said` of the JSON answer, and in short in the header X-Phraseldm-Reading.
        """
        kind = wanted_type(request.headers.get("accept", ""))
        content = await request.body()
        if request.headers.get("content-type", "").split(";")[0].strip().lower() not in (
            MIDI,
            "audio/x-midi",
            "application/octet-stream",
        ):
            raise HTTPException(415, f"Send the MIDI file as the body, of type {MIDI}.")
        song = await service.made(lambda: service.writer.accompaniment(asked, content), request)
        return _GONE if song is None else await answer_of(song, kind)


def _add_jobs(app: FastAPI, service: SongService) -> None:
    missing: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}

    @app.post("/jobs", status_code=202, responses={422: _ANSWERS[422], 503: _ANSWERS[503]})
    async def start(asked: Annotated[GenerateRequest, Body()]) -> JobStatus:
        """Put a song into the queue, to be asked for later."""
        job = await service.place(lambda: service.writer.generation(asked), kept=True)
        return service.status(job)

    @app.get("/jobs/{number}", responses=missing)
    async def look(number: str) -> JobStatus:
        """How far a song is, and how many come before it."""
        return service.status(service.job(number))

    @app.get(
        "/jobs/{number}/midi",
        responses={**missing, 200: {"content": {MIDI: {}}}, 409: {"model": Problem}},
        response_class=Response,
    )
    async def fetch(request: Request, number: str) -> Response:
        """The song of a job that is done; `Accept` as for `/generate`."""
        job = service.job(number)
        if not job.future.done():
            raise HTTPException(
                409, "The song is not ready yet; the job itself says how far it is."
            )
        song = result_of(job.future)
        return await answer_of(song, wanted_type(request.headers.get("accept", "")))

    @app.delete("/jobs/{number}", status_code=204, responses=missing)
    async def drop(number: str) -> None:
        """Forget a job; one that is being made ends at its next step."""
        service.queue.drop(service.job(number))


def _add_pages(app: FastAPI, service: SongService) -> None:
    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether songs can be made, with what, and how many wait."""
        queue = service.queue
        return {
            "ready": True,
            "version": version(),
            "model": service.writer.digest,
            "queue": {
                "waiting": queue.num_waiting,
                "running": int(queue.is_busy),
                "size": queue.size,
            },
            "songs": {
                "made": queue.num_made,
                "failed": queue.num_failed,
                "usual_seconds": round(queue.usual_seconds, 2),
            },
        }

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def form() -> HTMLResponse:
        return HTMLResponse(FORM_PAGE, headers={"content-security-policy": FORM_POLICY})

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = docs_page(app.openapi())
        return HTMLResponse(page, headers={"content-security-policy": DOCS_POLICY})
