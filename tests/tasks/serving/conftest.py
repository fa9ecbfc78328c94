"""A server around a generator that writes one note, and can be held."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.generator import GeneratedSong, SongRequest
from phrase_models.score.song import MELODY, Note, Song, Track
from tasks.music.songs import Models
from tasks.serving.application import build_application
from tasks.serving.limits import ServingLimits
from tasks.serving.song_writer import SongWriter

SECONDS = 10.0


class OneNote:
    """Writes one note, whose pitch is the seed and whose onset the index.

    Attributes:
        held: whether it waits half-way to be let go.
        begun, go: that it waits; that it may go on.
        asked: every request.
        failure: raised in place of a song.
    """

    name = "one_note"
    digest = "d" * 64

    def __init__(self) -> None:
        self.held, self.failure = False, None
        self.begun, self.go = threading.Event(), threading.Event()
        self.asked: list[SongRequest] = []
        self.progress: Callable[[int, int], None] = lambda done, total: None

    def check(self, request: SongRequest) -> None:
        if (request.num_bars or 0) > 128:
            message = f"A song of {request.num_bars} bars was asked for; ask for fewer bars."
            raise ConfigurationError(message)

    def reporting(self, progress: Callable[[int, int], None]) -> "OneNote":
        self.progress = progress
        return self

    def generate(self, request: SongRequest, seed: int, index: int) -> GeneratedSong:
        self.asked.append(request)
        self.progress(1, 2)
        if self.held:
            self.begun.set()
            assert self.go.wait(SECONDS)
            self.progress(2, 2)
        if self.failure is not None:
            raise self.failure
        track = Track(MELODY, (Note(index, seed, 12),))
        song = Song(f"{seed}-{index}", request.num_bars or 1, (track,), request.sections)
        song = replace(song, tempo_bpm=request.tempo_bpm)
        return GeneratedSong(index, request, song, f"phraseldm seed {seed} song {index} one note")


@pytest.fixture
def one_note():
    generator = OneNote()
    yield generator
    generator.go.set()


@pytest.fixture
def serving(one_note):
    """Makes a client of a server with some limits."""

    def make(**limits) -> TestClient:
        models = Models("one note", SamplerConfig(), None, lambda _: one_note)
        app = build_application(SongWriter(models), ServingLimits(**limits))
        return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    return make


@pytest.fixture
def client(serving):
    return serving()


@pytest.fixture
def release() -> Path:
    return Path(__file__).resolve().parents[3] / "releases" / "phraseldm-pop909"
