"""A request as JSON values and as texts of a MIDI file, from which it is read back exactly.

Chords are written as they sound in the files, which may lie above the song's C major or A minor;
the texture is that of the song there.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_text import format_form, parse_form
from phrase_models.form.song_form import SLOT_NAMES, SongForm
from phrase_models.form.texture_text import parse_texture, texture_text
from phrase_models.generator import SongRequest, request_from_layout
from phrase_models.score.chords import chord_text, parse_chords, transpose_chords
from phrase_models.score.key_names import semitones_to
from phrase_models.score.midi import read_key, read_texts

_SUMMARY = re.compile(r".*, tempo (\S+), bars (\d+|open), layout ?(.*)", re.DOTALL)
_CHORDS, _TEXTURE = "chords ", "texture "


def request_json(request: SongRequest, semitones: int) -> dict[str, Any]:
    """A request for `json.dump`, but for its tempo; chords so many semitones higher."""
    form = request.form
    return {
        "requested_bars": request.num_bars,
        "requested_layout": request.section_layout,
        "form": None if form is None else _form_json(form, request),
        "chords": _chords_as_they_sound(request, semitones),
        "texture": None if request.texture is None else texture_text(request.texture),
    }


def _form_json(form: SongForm, request: SongRequest) -> dict[str, Any]:
    written = form.num_slots == len(SLOT_NAMES)
    return {
        "grid": format_form(form, request.sections).splitlines() if written else None,
        "states": form.states.tolist(),
        "sources": form.sources.tolist(),
    }


def read_request_json(item: dict[str, Any], semitones: int) -> SongRequest:
    """The request that `request_json` described, beside its `tempo_bpm`.

    Form, chords and texture may be missing, as in files of earlier versions.
    """
    form, texture = item.get("form"), item.get("texture")
    request = request_from_layout(
        item["requested_layout"],
        item["requested_bars"],
        item["tempo_bpm"],
        form=None
        if form is None
        else SongForm(np.array(form["states"]), np.array(form["sources"])),
        chords=chords_of_text(item.get("chords"), semitones),
    )
    return request if texture is None else replace(request, texture=parse_texture(texture))


def request_texts(request: SongRequest, provenance: str, semitones: int) -> tuple[str, ...]:
    """Texts for a MIDI file.

    Returns:
        One line with provenance, tempo, bars and layout; the grid of the form, where there is one
        of three slots; the chords and the texture, where there are any.
    """
    bars = "open" if request.num_bars is None else request.num_bars
    texts = [
        f"{provenance}, tempo {request.tempo_bpm!r}, bars {bars}, layout {request.section_layout}"
    ]
    if request.form is not None and request.form.num_slots == len(SLOT_NAMES):
        texts.append(format_form(request.form, request.sections))
    chords = _chords_as_they_sound(request, semitones)
    if chords is not None:
        texts.append(_CHORDS + chords)
    if request.texture is not None:
        texts.append(_TEXTURE + texture_text(request.texture))
    return tuple(texts)


def read_request(path: Path) -> SongRequest:
    """What a MIDI file of ours says it was asked to be.

    Raises:
        BadMidiError: if the file is missing or broken.
        ConfigurationError: if it is not one of ours.
    """
    texts = read_texts(path)
    summary = _SUMMARY.fullmatch(texts[0]) if texts else None
    if summary is None:
        message = f"File {path} does not say what it was asked to be; it was not written here."
        raise ConfigurationError(message)
    tempo, bars, layout = summary.groups()
    request = request_from_layout(layout, None if bars == "open" else int(bars), float(tempo))
    for text in texts[1:]:
        if text.startswith(_CHORDS):
            chords = chords_of_text(text.removeprefix(_CHORDS), semitones_to(read_key(path)))
            request = replace(request, chords=chords)
        elif text.startswith(_TEXTURE):
            request = replace(request, texture=parse_texture(text.removeprefix(_TEXTURE)))
        else:
            request = replace(request, form=parse_form(text))
    return request


def chords_of_text(text: str | None, semitones: int) -> NDArray[np.int64] | None:
    """Ids (N, 2) of chords as they sound, so many semitones above C major or A minor.

    Raises:
        ConfigurationError: see `parse_chords`.
    """
    if text is None:
        return None
    return transpose_chords(np.array(parse_chords(text), np.int64), -semitones)


def _chords_as_they_sound(request: SongRequest, semitones: int) -> str | None:
    if request.chords is None:
        return None
    return chord_text(transpose_chords(request.chords, semitones).tolist())
