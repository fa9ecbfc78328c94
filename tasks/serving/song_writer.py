"""Loaded models that make songs of requests, as bytes: nothing of a request reaches a path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from phrase_models.batch_writing import gallery_song
from phrase_models.gallery.page import render_gallery
from phrase_models.generator import GeneratedSong, Generator
from phrase_models.song_batch import describe_song, song_bytes
from tasks.music.accompaniment import Accompaniment, hear, kept_roles, open_upload
from tasks.music.songs import PHRASE_LDM, Models
from tasks.serving.requests import AccompanyRequest, GenerateRequest, sampling_of
from tasks.settings.stages import GenerationConfig

if TYPE_CHECKING:
    from phrase_models.diffusion.sampling import Progress
    from tasks.serving.song_queue import Report

AUDIO_SECONDS = 60.0
SAMPLED = 0.9
"""Share of the time of a song after which its latents are drawn."""


@runtime_checkable
class ReportingGenerator(Protocol):
    """A generator that tells how far it is."""

    def reporting(self, progress: Progress) -> Generator:
        """The same, calling `progress` with (steps done, all of them)."""


@dataclass(frozen=True)
class WrittenSong:
    """A song as it is sent.

    Attributes:
        song: as generated, in C major or A minor.
        semitones: by which its file lies higher.
        generator: name of what made it.
        midi: the file, as the command line writes it.
        said: what became of the notes of a file that it was written around.
    """

    song: GeneratedSong
    semitones: int
    generator: str
    midi: bytes
    said: tuple[str, ...] = ()

    @property
    def description(self) -> dict[str, Any]:
        """What `songs.json` says of it."""
        return describe_song(self.song, self.generator, self.semitones)

    @property
    def page(self) -> str:
        """A page to look at and listen to."""
        shown = gallery_song(self.song, self.semitones, self.midi)
        return render_gallery(
            [shown], self.song.name, self.song.provenance, [], max_seconds=AUDIO_SECONDS
        )


Writing = Callable[["Report"], WrittenSong]


class SongWriter:
    """The models of a server."""

    def __init__(self, models: Models) -> None:
        """Load them.

        Raises:
            ConfigurationError: if they cannot be loaded.
        """
        self.models = models
        config = GenerationConfig(num_songs=1, sampler=models.sampler)
        self.digest = models.build(config).digest

    def generation(self, request: GenerateRequest) -> Writing:
        """A song that can be made, to be called by the thread of the models.

        Raises:
            ConfigurationError: if the request cannot be met.
        """
        order = request.order()
        config, settings = order.batch(self.models, PHRASE_LDM)
        generator = self.models.build(config)
        generator.check(settings.request)

        def write(report: Report) -> WrittenSong:
            report(0.0)
            maker = _reporting(generator, report)
            song = maker.generate(settings.request, request.seed, request.index)
            midi = song_bytes(song, settings.semitones)
            return WrittenSong(song, settings.semitones, maker.name, midi)

        return write

    def accompaniment(self, request: AccompanyRequest, content: bytes) -> Writing:
        """As `generation`, around instruments of a MIDI file.

        Raises:
            BadMidiError: if nothing can be read of the file.
            ConfigurationError: if the request cannot be met.
        """
        asked = Accompaniment(
            kept_roles(request.keep),
            request.seed,
            request.index,
            request.sections,
            request.chords,
            sampling_of(request),
        )
        generator = asked.build(self.models)
        file = hear(open_upload(content, request.map), generator.codec)

        def write(report: Report) -> WrittenSong:
            report(0.0)
            song = asked.write(generator.reporting(_steps(report)), file)
            midi = song_bytes(song, file.semitones)
            return WrittenSong(song, file.semitones, generator.name, midi, file.said)

        return write


def _reporting(generator: Generator, report: Report) -> Generator:
    if isinstance(generator, ReportingGenerator):
        return generator.reporting(_steps(report))
    return generator


def _steps(report: Report) -> Progress:
    return lambda done, total: report(SAMPLED * done / total)
