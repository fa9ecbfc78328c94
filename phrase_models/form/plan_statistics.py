"""What a plan looks like as a whole: how much of it comes again, where, and in what passages."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phrase_models.form.song_form import CellState, SongForm, relations
from phrase_models.score.song import Section

LAGS = (1, 2, 4, 8)
SHORTEST_PASSAGE = 4
"""Bars in a row that come again together, to count as a passage."""

BoolArray = NDArray[np.bool_]


def plan_statistics(
    sections: Sequence[Section], form: SongForm, chords: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """Numbers by which plans as wholes are compared.

    Args:
        sections: contiguous from bar 0, N bars together.
        form: of N bars and S slots.
        chords: (N, 2), or None.

    Returns:
        (F,): of every kind of likeness between bars (all slots token for token, each slot token for
        token, equal chords where there are any) the passages that come again, the share of like
        pairs, that of bars like the one 1, 2, 4 and 8 before, and of those like their place in the
        section of the label before; then shares of cells by state and slot, of distinct bars,
        distinct chords, and what the sections are.
    """
    exact = relations(form)[0]
    plays = (form.states != CellState.SILENT).T
    alike = exact | (~plays[:, :, None] & ~plays[:, None, :])
    whole = alike.all(axis=0) & plays.any(axis=0)[:, None]
    kinds = [whole, *exact]
    values: list[float] = []
    if chords is not None:
        kinds.append((chords[:, None] == chords[None]).all(axis=-1))
        values.append(len(np.unique(chords)) / np.sqrt(len(chords)))
    matching = _matching_places(sections)
    for kind in kinds:
        values += _likeness(kind, matching)
    for state in (CellState.SILENT, CellState.NEW, CellState.REPEATS):
        values += (form.states == state).mean(axis=0).tolist()
    first = (whole | np.eye(len(whole), dtype=np.bool_)).argmax(axis=1)
    values.append(len(np.unique(first)) / len(whole))
    return np.array([*values, *_layout(sections, form.num_bars)])


def _likeness(alike: BoolArray, matching: NDArray[np.int64]) -> list[float]:
    """Statistics of one kind of likeness (N, N)."""
    num_bars = len(alike)
    pairs = alike[np.triu_indices(num_bars, 1)]
    lags = [_share(np.diagonal(alike, lag)) for lag in LAGS]
    places = alike[matching[:, 0], matching[:, 1]]
    return [_passages(alike), _share(pairs), *lags, _share(places)]


def _passages(alike: BoolArray) -> float:
    """Logarithm of 1 + the bars of all passages that come again, over the bars of the song.

    All diagonals lie in one row, behind each other: from the second on, each ends on a bar beyond
    the song, which is like none.
    """
    num_bars = len(alike)
    bars, lags = np.arange(num_bars), np.arange(2, num_bars)[:, None]
    beyond = np.pad(alike, ((0, 0), (0, num_bars)))
    edges = np.diff(np.pad(beyond[bars, bars + lags].ravel().astype(np.int8), 1))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    total = int(lengths[lengths >= SHORTEST_PASSAGE].sum())
    return float(np.log1p(total / num_bars))


def _matching_places(sections: Sequence[Section]) -> NDArray[np.int64]:
    """(K, 2): bars and their places in the section of the same label before."""
    latest: dict[str, Section] = {}
    pairs = []
    for section in sections:
        before = latest.get(section.label)
        if before is not None:
            shared = min(section.num_bars, before.num_bars)
            pairs += [(section.start_bar + k, before.start_bar + k) for k in range(shared)]
        latest[section.label] = section
    return np.array(pairs, np.int64).reshape(-1, 2)


def _layout(sections: Sequence[Section], num_bars: int) -> list[float]:
    known: set[str] = set()
    repeated = 0
    for section in sections:
        repeated += section.num_bars if section.label in known else 0
        known.add(section.label)
    sung = sum(section.num_bars for section in sections if section.label.isupper())
    return [len(sections), len(known), repeated / num_bars, sung / num_bars, num_bars]


def _share(flags: BoolArray) -> float:
    return float(flags.mean()) if flags.size else 0.0
