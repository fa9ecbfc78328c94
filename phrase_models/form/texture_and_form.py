"""What form and texture say of each other: contradictions, and one fitted to the other.

A silent cell has no texture and all others have some; a repetition has that of its source.
"""

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm, roots, slot_name
from phrase_models.form.texture import NO_TEXTURE, TEXTURE_ATTRIBUTES, UNKNOWN_TEXTURE

_ONSETS = [TEXTURE_ATTRIBUTES.index("onsets")]


def check_texture_of_form(texture: NDArray[np.int64], form: SongForm) -> None:
    """Refuse a texture that a form contradicts.

    Args:
        texture: (N, S, 5).
        form: of N bars and S slots.

    Raises:
        ConfigurationError: one sentence about the first such cell, or cells that are not the same.
    """
    if texture.shape[:-1] != form.states.shape:
        message = (
            f"The texture has {' x '.join(map(str, texture.shape[:-1]))} cells, but the form "
            f"{' x '.join(map(str, form.states.shape))}; make them agree."
        )
        raise ConfigurationError(message)
    without, sounding = _is_silent(texture), _sounds(texture)
    silent = form.states == CellState.SILENT
    other = _differ(texture, of_roots(texture, form))
    complaints = (
        (silent & sounding, "is silent in the form but has a texture; write . there, or let it "
                            "play in the form"),
        (~silent & without, "plays in the form but is without notes in the texture; write its "
                            "digits or ? there, or . in the form"),
        (other, "repeats bar {source} in the form but has another texture; write the same, or ? "
                "there, or * in the form"),
    )  # fmt: skip
    for faulty, complaint in complaints:
        if faulty.any():
            bar, slot = (int(index) for index in np.argwhere(faulty)[0])
            said = complaint.format(source=form.sources[bar, slot] + 1)
            raise ConfigurationError(f"Bar {bar + 1} of the {slot_name(slot)} {said}.")


def complete_texture(texture: NDArray[np.int64], form: SongForm) -> NDArray[np.int64]:
    """A texture (N, S, 5) with what a form says of the numbers that it leaves open.

    Silent cells have none, repetitions have those of what they repeat.
    """
    silent = (form.states == CellState.SILENT)[..., None]
    said = np.where(silent, NO_TEXTURE, of_roots(texture, form))
    return np.where(texture == UNKNOWN_TEXTURE, said, texture)


def fit_to_texture(form: SongForm, texture: NDArray[np.int64]) -> SongForm:
    """A form that nobody asked for, changed where a texture that somebody did contradicts it.

    Cells without notes are silent, silent ones with a texture new; so are those that take up a cell
    that is silent now, or repeat one of another texture, or vary one of another number of onsets.

    Args:
        form: lent or drawn, of N bars and S slots.
        texture: (N, S, 5).
    """
    states, sources = form.states.copy(), form.sources.copy()
    states[_is_silent(texture)] = CellState.SILENT
    states[_sounds(texture) & (states == CellState.SILENT)] = CellState.NEW
    first = np.repeat(np.arange(len(states))[:, None], states.shape[1], axis=1)
    for bar, slot in np.argwhere(states > CellState.NEW):
        source = sources[bar, slot]
        repeats = states[bar, slot] == CellState.REPEATS
        attributes = slice(None) if repeats else _ONSETS
        root = first[source, slot] if repeats else source
        silent = states[source, slot] == CellState.SILENT
        if silent or _differ(texture[bar, slot, attributes], texture[root, slot, attributes]):
            states[bar, slot] = CellState.NEW
        elif repeats:
            first[bar, slot] = root
    sources[states <= CellState.NEW] = NO_SOURCE
    return SongForm(states, sources)


def of_roots(texture: NDArray[np.int64], form: SongForm) -> NDArray[np.int64]:
    """The texture (N, S, 5) of what each cell repeats, or its own."""
    return np.take_along_axis(texture, roots(form)[..., None], axis=0)


def _is_silent(texture: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.any(texture == NO_TEXTURE, axis=-1)


def _sounds(texture: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.any(texture > NO_TEXTURE, axis=-1)


def _differ(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether numbers (..., A) differ where both are known, (...)."""
    known = (one != UNKNOWN_TEXTURE) & (other != UNKNOWN_TEXTURE)
    return np.any(known & (one != other), axis=-1)
