"""Songs that are in a corpus twice, and the split that keeps them together."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Split = Literal["train", "validation"]
GRAM = 12
HASH_BASE = 0x9E3779B97F4A7C15
"""A run is kept as a number of 64 bits; the odds that two of four million have one are 4e-7."""
MIN_OVERLAP = 0.15
"""Shared melody of a pair; in POP909 duplicates share .31 and more, other pairs at most .05."""


def _grams(pitches: Sequence[int]) -> NDArray[np.uint64]:
    """Distinct runs of pitch intervals, so that a transposed copy counts too."""
    steps = np.diff(np.asarray([*pitches], np.int64)).astype(np.uint64)
    if len(steps) < GRAM:
        return np.empty(0, np.uint64)
    powers = np.array([pow(HASH_BASE, place, 2**64) for place in range(GRAM)], np.uint64)
    return np.unique((sliding_window_view(steps, GRAM) * powers).sum(axis=1, dtype=np.uint64))


def find_duplicate_groups(melodies: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Songs whose melodies share many runs of 12 intervals.

    Args:
        melodies: pitches in order, by song id.

    Returns:
        Group name (the smallest song id in it) of every song that has a duplicate.
    """
    names = sorted(melodies)
    grams = [_grams(melodies[name]) for name in names]
    groups: dict[str, str] = {}
    num_runs = np.array([len(song) for song in grams])
    for first, shared in enumerate(_iter_shared_grams(grams)):
        fewest = np.minimum(num_runs[first], num_runs)
        for second in np.flatnonzero((shared > 0) & (shared >= MIN_OVERLAP * fewest)).tolist():
            if second > first:
                _join(groups, names[first], names[second])
    return groups


def _iter_shared_grams(grams: Sequence[NDArray[np.uint64]]) -> Iterator[NDArray[np.int64]]:
    """How many runs each song has in common with every song, `(num_songs,)`, song by song.

    A song at a time, because a run that is common property is in many pairs of songs.
    """
    if not grams:
        return
    owners = np.repeat(np.arange(len(grams)), [len(song) for song in grams])
    _, run_of = np.unique(np.concatenate(grams), return_inverse=True)
    by_run = np.argsort(run_of, kind="stable")
    counts = np.bincount(run_of)
    starts = np.cumsum(counts) - counts
    ends = np.cumsum([len(song) for song in grams])
    for end, song in zip(ends.tolist(), grams, strict=True):
        runs = run_of[end - len(song) : end]
        lengths = counts[runs]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        places = by_run[np.repeat(starts[runs], lengths) + offsets]
        yield np.bincount(owners[places], minlength=len(grams))


def _join(groups: dict[str, str], first: str, second: str) -> None:
    names = {groups.get(first, first), groups.get(second, second)}
    name = min(names)
    members = {song for song, group in groups.items() if group in names} | {first, second}
    groups.update(dict.fromkeys(sorted(members), name))


def assign_splits(
    song_ids: Iterable[str], groups: Mapping[str, str], validation_fraction: float = 0.05
) -> dict[str, Split]:
    """Split of every song: a function of its id alone, or of its group's.

    Songs that come later never move others. Only where a corpus is so small that none would be held
    out, the song that comes nearest to it is.
    """
    shares = {song_id: share_of(groups.get(song_id, song_id)) for song_id in song_ids}
    bound = max(validation_fraction, min(shares.values(), default=0.0))
    return {
        song_id: "validation" if share < validation_fraction or share == bound else "train"
        for song_id, share in shares.items()
    }


def share_of(name: str) -> float:
    """A number in [0, 1) that belongs to a name, in every corpus the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
