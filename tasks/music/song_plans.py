"""Forms and textures of songs as text that is printed, edited and given back to `generate`."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from phrase_models.diffusion.plan import plan_from_layout
from phrase_models.errors import UserError
from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.form_text import LEGEND, format_form
from phrase_models.form.song_form import SLOT_NAMES
from phrase_models.form.texture import texture_of_slots
from phrase_models.form.texture_text import format_texture, parse_texture, texture_legend
from phrase_models.score.key_names import key_name, relative_major, semitones_to
from phrase_models.score.midi import Grid, MidiReading, read_with_report
from phrase_models.score.song import format_section_layout
from phrase_models.score.transforms import key_of_notes, transpose
from phrase_models.song_batch import midi_path
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars
from tasks.music.reading import read_file, say

GRID: Grid = 16
"""Places a bar on which bars are compared; music that is played freely repeats on no finer one."""
Part = Literal["form", "texture"]


def read_words(path: Path, part: Part) -> str:
    """The text of a file with a form or a texture.

    Raises:
        UserError: if it is no text file.
    """
    if not path.exists():
        message = f"There is no file {path}; `phraseldm {part}` prints a {part} to begin with."
        raise UserError(message)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} is no text file with a {part}; `phraseldm {part}` prints one."
        raise UserError(message) from error


def form_of_file(path: Path, index: int, role_map: Sequence[str] = ()) -> str:
    """The form of a song as text, for `--form`.

    Args:
        path: a MIDI file, whose form is that of its notes on the grid of 16ths; or a `songs.json`,
            which has kept what was asked for.
        index: of the song in a `songs.json`.
        role_map: choices of the user, such as "Track 3=melody".

    Raises:
        UserError: if there is no such song.
    """
    if path.suffix != ".json":
        return _form_of_song(read_file(path, role_map, grid=GRID))
    item = _described(path, index)
    if item.get("form") is None or item["form"]["grid"] is None:
        return _form_of_song(_written(path, item))
    return _form_page(item["requested_layout"], "\n".join(item["form"]["grid"]))


def texture_of_file(path: Path, index: int, role_map: Sequence[str] = ()) -> str:
    """The texture of a song as text, for `--texture`; arguments and errors as of `form_of_file`.

    The song is moved to C major or A minor first, which is said on stderr.
    """
    if path.suffix != ".json":
        return _texture_of_song(read_file(path, role_map, grid=GRID))
    item = _described(path, index)
    if item.get("texture") is None:
        return _texture_of_song(_written(path, item))
    texture = parse_texture(item["texture"])
    if texture.shape[1] != len(SLOT_NAMES):
        return _texture_of_song(_written(path, item))
    layout = item["requested_layout"]
    return _texture_page(layout, format_texture(texture, plan_from_layout(layout).sections))


def _described(path: Path, index: int) -> dict[str, Any]:
    """What a `songs.json` says of a song."""
    try:
        items = json.loads(path.read_text(encoding="utf-8"))
        by_index: dict[int, dict[str, Any]] = {item["index"]: item for item in items}
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = f"{path} is no songs.json as `phraseldm generate` writes it."
        raise UserError(message) from error
    if index not in by_index:
        known = ", ".join(map(str, by_index)) or "none"
        message = f"{path} has no song {index}; there are {known}."
        raise UserError(message)
    return by_index[index]


def _written(path: Path, item: dict[str, Any]) -> MidiReading:
    """The MIDI file of a song of a `songs.json`."""
    return read_with_report(midi_path(path.parent, item["name"]), grid=GRID)


def _form_of_song(reading: MidiReading) -> str:
    song = reading.song
    form = form_of_slots(bars_to_slots(song_to_bars(song), "role"), song.sections)
    return _form_page(format_section_layout(song.sections), format_form(form, song.sections))


def _form_page(layout: str | None, grid: str) -> str:
    return _page("form", layout, (LEGEND,), grid)


def _texture_of_song(reading: MidiReading) -> str:
    song = reading.song
    major, _ = key_of_notes(song.tracks, relative_major(reading.key))
    key = key_name(major)
    say((f"Its key is {key} major or the relative minor; its pitches are as in C.",))
    moved = transpose(song, -semitones_to(key), fold=True)
    texture = texture_of_slots(bars_to_slots(song_to_bars(moved), "role")).astype("i8")
    layout = format_section_layout(song.sections)
    return _texture_page(layout, format_texture(texture, song.sections), key)


def _texture_page(layout: str | None, lines: str, key: str = "C") -> str:
    return _page("texture", layout, texture_legend(), lines, key)


def _page(part: Part, layout: str | None, legend: Sequence[str], lines: str, key: str = "C") -> str:
    """A form or texture below comments that say how it is used, and what its signs mean."""
    options = ["--key", key] if key != "C" else []
    options += ["--sections", layout] if layout else []
    command = shlex.join(["phraseldm", "generate", *options, f"--{part}", "THIS_FILE"])
    comments = "".join(f"# {line}\n" for line in (command, *legend))
    return f"{comments}\n{lines.rstrip()}"
