"""A texture for a form of one's own, made of the cells of a training song.

Where a form has something new, a song with nothing new of its own there would give two phrases that
are not the same the same five numbers, as songs hardly ever do: five numbers in five are equal in 2
to 5 % of the bars of training songs that stand four or eight apart and are not copies.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phrase_models.form.song_form import CellState, SongForm, roots
from phrase_models.form.texture import NO_TEXTURE, TEXTURE_ATTRIBUTES, UNKNOWN_TEXTURE
from phrase_models.form.texture_and_form import of_roots
from phrase_models.score.song import Section

_REACH = 4
"""Bars around the lent one in which another texture is looked for where its own is taken."""
_METRES = (8, 4, 2)
"""Bars after which music tends to be at the same place of a passage, best first."""


def share_done_otherwise(lending: SongForm, bars: NDArray[np.int64], form: SongForm) -> float:
    """Share of the cells, 0 to 1, in which a song does something else than a form.

    A cell is silent, plays something for the first time, or plays what an earlier bar had.

    Args:
        lending: form of the song.
        bars: of the song for each bar of the form, (N,).
        form: of N bars.
    """
    lent = _doings(lending.states[bars], roots(lending)[bars])
    return float((lent != _doings(form.states, roots(form))).mean())


def _doings(states: NDArray[np.int8], heard_first: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, S): 0 for silence, 1 for a phrase (named by its first bar) that is new, 2 for others."""
    doings = np.where(states == CellState.SILENT, 0, 2)
    for slot in range(states.shape[1]):
        playing = np.flatnonzero(doings[:, slot])
        _, first = np.unique(heard_first[playing, slot], return_index=True)
        doings[playing[first], slot] = 1
    return doings


def texture_for_form(
    texture: NDArray[np.int64],
    lending: SongForm,
    sections: Sequence[Section],
    bars: NDArray[np.int64],
    form: SongForm,
) -> NDArray[np.int64]:
    """Texture (N, S, 5) for a form of N bars.

    Silent cells have none, repetitions that of what they repeat. Every other cell has that of the
    lent bar, unless the song is silent there or plays what an earlier cell has already: then that
    of the nearest bar at most four away that none has yet (so the bars after it move on as well),
    and if there is none that of any bar that plays, rather at the same place in a passage of eight,
    four or two bars than near: the nearest one would stand for a whole passage. Cells of an
    instrument that never plays are left open.

    Args:
        texture: (M, S, 5) of the song.
        lending: its form, of M bars.
        sections: of the song, contiguous from bar 0.
        bars: of the song for each bar of the form, (N,).
        form: whose texture it is.
    """
    found = np.full((*form.states.shape, len(TEXTURE_ATTRIBUTES)), UNKNOWN_TEXTURE, np.int64)
    costs, begins, heard_first = _costs(sections), _begins(form), roots(lending)
    for slot in range(form.num_slots):
        playing = np.flatnonzero(lending.states[:, slot] != CellState.SILENT)
        if len(playing):
            cells = np.flatnonzero(begins[:, slot])
            chosen = _each_once(bars[cells], playing, heard_first[playing, slot], costs)
            found[cells, slot] = texture[chosen, slot]
    found = of_roots(found, form)
    found[form.states == CellState.SILENT] = NO_TEXTURE
    return found


def _each_once(
    wanted: NDArray[np.int64],
    playing: NDArray[np.int64],
    heard_first: NDArray[np.int64],
    costs: NDArray[np.int64],
) -> NDArray[np.int64]:
    """For each wanted bar (K,) one that plays, no phrase twice as far as there are enough near.

    Args:
        wanted: bars of a song.
        playing: those that can be had, (P,).
        heard_first: where the phrase of each of these is heard first, (P,).
        costs: (M, M), how ill each bar of the song stands in for another.
    """
    chosen = []
    is_taken = np.zeros(len(playing), bool)
    for bar in wanted.tolist():
        apart = np.abs(playing - bar)
        free = np.flatnonzero((apart <= _REACH) & ~is_taken)
        best = free[apart[free].argmin()] if len(free) else costs[bar, playing].argmin()
        chosen.append(playing[best])
        is_taken |= heard_first == heard_first[best]
    return np.array(chosen, np.int64)


def _begins(form: SongForm) -> NDArray[np.bool_]:
    """(N, S): cells that play and repeat no other."""
    return (form.states != CellState.SILENT) & (form.states != CellState.REPEATS)


def _costs(sections: Sequence[Section]) -> NDArray[np.int64]:
    """(M, M): how ill each bar stands in for another."""
    places = np.concatenate([np.arange(section.num_bars) for section in sections])
    bars = np.arange(len(places))
    costs = np.abs(bars - bars[:, None])
    for metre in _METRES:
        costs = costs + len(bars) * ((places - places[:, None]) % metre != 0)
    return costs
