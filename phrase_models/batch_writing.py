"""A batch of songs made by any generator and written, with a gallery to look at and listen to."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from phrase_models.form.form_edits import obeyed
from phrase_models.form.song_form import SLOT_NAMES
from phrase_models.gallery.page import GallerySong, render_gallery
from phrase_models.generator import GeneratedSong, Generator, SongRequest
from phrase_models.metrics.structure import bar_ssm, note_ssm, section_recurrence
from phrase_models.score.transforms import transpose
from phrase_models.song_batch import GALLERY, midi_path, write_descriptions, write_song
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """Which songs are written, and how.

    Attributes:
        num_songs: songs 0, 1, ... of the seed.
        seed: of all songs.
        request: the same for each.
        semitones: by which the files lie above C major or A minor.
        audio_seconds: of each song in the gallery.
    """

    num_songs: int
    seed: int
    request: SongRequest
    semitones: int = 0
    audio_seconds: float = 60.0


def write_batch(
    generator: Generator, settings: BatchSettings, folder: Path, report: Progress
) -> list[GeneratedSong]:
    """Make songs and write all files of a batch.

    Args:
        generator: that writes the songs.
        settings: of the batch.
        folder: gets the files; made if missing.
        report: called with (share done, words).

    Returns:
        The songs as they were generated, before they were transposed.

    Raises:
        ConfigurationError: if the generator cannot meet the request, or transposing a song takes a
            note out of MIDI's range.
    """
    indices = range(settings.num_songs)
    songs = (generator.generate(settings.request, settings.seed, index) for index in indices)
    return write_songs(songs, generator.name, settings, folder, report)


def write_songs(
    coming: Iterable[GeneratedSong],
    generator: str,
    settings: BatchSettings,
    folder: Path,
    report: Progress,
) -> list[GeneratedSong]:
    """Write all files of a batch whose songs come one after the other.

    Args:
        coming: songs 0, 1, ... of the seed.
        generator: name of what makes them.
        settings: of the batch.
        folder: gets the files; made if missing.
        report: called with (share done, words).

    Returns:
        See `write_batch`, also for what is raised.
    """
    songs: list[GeneratedSong] = []
    for song in coming:
        write_song(song, settings.semitones, folder)
        songs.append(song)
        done = len(songs)
        report(done / settings.num_songs, f"{done} of {settings.num_songs} songs")
    write_descriptions(songs, generator, settings.semitones, folder)
    shown = [
        gallery_song(song, settings.semitones, midi_path(folder, song.name).read_bytes())
        for song in songs
    ]
    page = render_gallery(
        shown,
        title="Songs by phraseldm",
        subtitle=f"{_count(len(songs))} of seed {settings.seed}, none picked by hand",
        headline=[],
        max_seconds=settings.audio_seconds,
    )
    (folder / GALLERY).write_text(page, encoding="utf-8")
    return songs


def gallery_song(song: GeneratedSong, semitones: int, midi: bytes) -> GallerySong:
    """What the page shows of a song; the picture of its latents is left out without them.

    Args:
        song: as generated.
        semitones: by which its file lies higher.
        midi: the file.
    """
    matrix = bar_ssm(song.latents) if song.latents is not None and len(song.latents) else None
    numbers: dict[str, float | str] = {}
    recurrence = section_recurrence(note_ssm(song.song))
    if not math.isnan(recurrence):
        numbers["recurrence of sections, from the notes"] = round(recurrence, 3)
    numbers["repaired tokens"] = song.num_repairs
    if song.request.form is not None and song.request.form.num_slots == len(SLOT_NAMES):
        slots = bars_to_slots(song_to_bars(song.song), "role")
        numbers["plan obeyed"] = f"{obeyed(song.request.form, slots):.1%}"
    return GallerySong(
        title=song.name,
        song=transpose(song.song, semitones),
        self_similarity=matrix,
        numbers=numbers,
        midi=midi,
        requested_layout=song.request.section_layout or None,
        form=song.request.form,
    )


def _count(num_songs: int) -> str:
    return "1 song" if num_songs == 1 else f"{num_songs} songs"
