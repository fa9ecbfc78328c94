"""The folder of a batch of songs, written and read back exactly.

midi/song-000.mid       as they sound, in the key asked for
songs.json              a description of each: what it was asked to be, with form and chords, and
                        what MIDI files do not keep
latents.safetensors     raw latents (num_bars, S, D) by name; absent where no song has any
gallery.html            songs to look at and listen to, by `batch_writing`
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.generator import GeneratedSong
from phrase_models.request_text import read_request_json, request_json, request_texts
from phrase_models.score.key_names import key_name
from phrase_models.score.midi import read_midi
from phrase_models.score.midi_writer import midi_bytes
from phrase_models.score.song import Song, format_section_layout, parse_section_layout
from phrase_models.score.transforms import transpose
from phrase_models.whole_files import write_whole

MIDI_FOLDER, DESCRIPTIONS, LATENTS = "midi", "songs.json", "latents.safetensors"
GALLERY = "gallery.html"
_SONG = re.compile(rf"{MIDI_FOLDER}/song-\d{{3,}}\.mid")


def midi_path(folder: Path, name: str) -> Path:
    """File of a song by its name."""
    return folder / MIDI_FOLDER / f"{name}.mid"


def belongs_to_batch(name: str) -> bool:
    """Whether a file of a folder, by its path in it, is one that a batch has there."""
    return name in {DESCRIPTIONS, LATENTS, GALLERY} or _SONG.fullmatch(name) is not None


def write_song(song: GeneratedSong, semitones: int, folder: Path) -> None:
    """Write the MIDI file of one song, so many semitones higher; the folder is made if missing.

    Its texts say what the song was asked to be (see `request_text.read_request`).

    Raises:
        ConfigurationError: if that takes a note out of MIDI's range.
    """
    path = midi_path(folder, song.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, song_bytes(song, semitones))


def song_bytes(song: GeneratedSong, semitones: int) -> bytes:
    """The MIDI file of one song, so many semitones higher; see `write_song`.

    Raises:
        ConfigurationError: if that takes a note out of MIDI's range.
    """
    return midi_bytes(
        transpose(song.song, semitones) if semitones else song.song,
        key=key_name(semitones),
        texts=request_texts(song.request, song.provenance, semitones),
    )


def write_descriptions(
    songs: Sequence[GeneratedSong], generator: str, semitones: int, folder: Path
) -> None:
    """Write what there is beside the MIDI files.

    Args:
        songs: of the batch.
        generator: name of what made them.
        semitones: by which the MIDI files lie above the songs.
        folder: of the batch.
    """
    latents = {
        song.name: np.ascontiguousarray(song.latents) for song in songs if song.latents is not None
    }
    if latents:
        write_whole(folder / LATENTS, save(latents))
    descriptions = [describe_song(song, generator, semitones) for song in songs]
    text = json.dumps(descriptions, indent=1)
    (folder / DESCRIPTIONS).write_text(text, encoding="utf-8")


def read_batch(folder: Path) -> list[GeneratedSong]:
    """The songs of a batch as they were generated: transposition is undone, silence kept.

    Raises:
        BadMidiError: if a file is missing or damaged.
    """
    path = folder / LATENTS
    latents = load_file(path) if path.exists() else {}
    descriptions = json.loads((folder / DESCRIPTIONS).read_text(encoding="utf-8"))
    return [_read_song(item, latents.get(item["name"]), folder) for item in descriptions]


def read_each(folder: Path) -> Iterator[tuple[str, GeneratedSong | UserError]]:
    """The songs of a batch as `read_batch`, each with its name, or what is wrong with its file.

    Raises:
        ConfigurationError: if the descriptions or the latents cannot be read.
    """
    try:
        path = folder / LATENTS
        latents = load_file(path) if path.exists() else {}
        items = json.loads((folder / DESCRIPTIONS).read_text(encoding="utf-8"))
        names = [str(item["name"]) for item in items]
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        message = (
            f"{folder} holds no songs as `phraseldm generate` writes them: its {DESCRIPTIONS} or "
            f"{LATENTS} is damaged; remove both to take the MIDI files alone."
        )
        raise ConfigurationError(message) from error
    for name, item in zip(names, items, strict=True):
        found = latents.get(name)
        try:
            if found is not None and found.ndim != 3:
                message = f"{LATENTS} has none of bars, slots and dimensions for it."
                raise ConfigurationError(message)
            yield name, _read_song(item, found, folder)
        except UserError as error:
            yield name, error
        except (ValueError, TypeError, KeyError, IndexError) as error:
            yield name, ConfigurationError(f"{DESCRIPTIONS} does not describe it: {error!r}.")


def _read_song(
    item: dict[str, Any], latents: NDArray[np.float32] | None, folder: Path
) -> GeneratedSong:
    if item["num_notes"]:
        written = read_midi(midi_path(folder, item["name"]))
        song = replace(transpose(written, -item["semitones"]), song_id=item["song_id"])
    else:  # a MIDI file without notes is refused as a source of songs
        sections = parse_section_layout(item["layout"]) if item["layout"] else ()
        song = Song(item["song_id"], item["num_bars"], (), sections)
    return GeneratedSong(
        index=item["index"],
        request=read_request_json(item, item["semitones"]),
        song=replace(song, tempo_bpm=item["tempo_bpm"], key_shift=item["key_shift"]),
        provenance=item["provenance"],
        latents=latents,
        num_repairs=item["num_repairs"],
        plans=item.get("plans", "training"),  # files of earlier versions do not say
    )


def describe_song(song: GeneratedSong, generator: str, semitones: int) -> dict[str, Any]:
    """What `songs.json` says of a song."""
    return {
        "name": song.name,
        "index": song.index,
        "song_id": song.song.song_id,
        "generator": generator,
        "provenance": song.provenance,
        "layout": format_section_layout(song.song.sections),
        "key_shift": song.song.key_shift,
        "semitones": semitones,
        "num_bars": song.song.num_bars,
        "num_notes": song.song.num_notes,
        "num_repairs": song.num_repairs,
        "plans": song.plans,
        "tempo_bpm": song.song.tempo_bpm,
        **request_json(song.request, semitones),
    }
