"""Variants of a song written as MIDI files, with a gallery that shows what was given.

variant-01.mid      as it sounds, in the key of the song
gallery.html        given and generated notes in two shades
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from phrase_models.gallery.page import GallerySong, render_gallery
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.transforms import transpose
from phrase_models.song_batch import GALLERY
from phrase_models.song_tasks import WrittenSong

Progress = Callable[[float, str], None]
_VARIANT = re.compile(r"variant-\d{2,}\.mid")


@dataclass(frozen=True, slots=True)
class VariantSettings:
    """How variants are written.

    Attributes:
        num_variants: variants 0, 1, ... of the seed.
        semitones: by which the files lie above C major or A minor.
        key: of the files.
        title: of the gallery.
        subtitle: a sentence below it.
        audio_seconds: of each song in the gallery.
    """

    num_variants: int
    semitones: int
    key: str
    title: str
    subtitle: str
    audio_seconds: float = 60.0


def variant_path(folder: Path, index: int) -> Path:
    """File of a variant, counted from 0."""
    return folder / f"variant-{index + 1:02d}.mid"


def belongs_to_variants(name: str) -> bool:
    """Whether a file is one of those that are written here."""
    return name == GALLERY or _VARIANT.fullmatch(name) is not None


def write_variants(
    make: Callable[[int], WrittenSong], settings: VariantSettings, folder: Path, report: Progress
) -> list[WrittenSong]:
    """Make variants and write all files.

    Args:
        make: a variant by its index, in C major or A minor.
        settings: of all of them.
        folder: gets the files; made if missing.
        report: called with (share done, words).

    Returns:
        The variants in the key of the files.

    Raises:
        ConfigurationError: if transposing takes a note out of MIDI's range.
    """
    variants = []
    for index in range(settings.num_variants):
        made = make(index)
        variant = WrittenSong(
            transpose(made.song, settings.semitones),
            transpose(made.given, settings.semitones),
            made.provenance,
        )
        path = variant_path(folder, index)
        write_midi(variant.song, path, key=settings.key, texts=(variant.provenance,))
        variants.append(variant)
        done = index + 1
        report(done / settings.num_variants, f"{done} of {settings.num_variants} variants")
    page = render_gallery(
        _entries(variants, folder),
        title=settings.title,
        subtitle=settings.subtitle,
        headline=[],
        max_seconds=settings.audio_seconds,
    )
    (folder / GALLERY).write_text(page, encoding="utf-8")
    return variants


def _entries(variants: Sequence[WrittenSong], folder: Path) -> list[GallerySong]:
    return [
        GallerySong(
            title=variant_path(folder, index).stem,
            song=variant.song,
            self_similarity=None,
            numbers={"notes given": variant.given.num_notes, "generated": variant.num_written},
            midi=variant_path(folder, index).read_bytes(),
            given=variant.given,
        )
        for index, variant in enumerate(variants)
    ]
