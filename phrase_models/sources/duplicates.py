"""Songs that are in a corpus twice, and the split that keeps them together."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Split = Literal["train", "validation"]
GRAM = 12
NO_ZERO = 0x4000
"""Added to intervals, so that their last byte is not zero, which would end a string of bytes."""
MIN_OVERLAP = 0.15
"""Shared melody of a pair; in POP909 duplicates share .31 and more, other pairs at most .05."""


def _grams(pitches: Sequence[int]) -> NDArray[np.bytes_]:
    """Distinct runs of pitch intervals, so that a transposed copy counts too."""
    steps = np.diff(np.asarray([*pitches], "<i2"))
    if len(steps) < GRAM:
        return np.empty(0, f"S{2 * GRAM}")
    runs = np.ascontiguousarray(sliding_window_view((steps + NO_ZERO).astype("<i2"), GRAM))
    return np.unique(runs.view(f"S{2 * GRAM}").ravel())


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
    for (first, second), count in sorted(_shared_grams(grams).items()):
        if count >= MIN_OVERLAP * min(len(grams[first]), len(grams[second])):
            _join(groups, names[first], names[second])
    return groups


def _shared_grams(grams: Sequence[NDArray[np.bytes_]]) -> Counter[tuple[int, int]]:
    """How many runs each pair of songs has in common, of those that have any."""
    shared: Counter[tuple[int, int]] = Counter()
    if not grams:
        return shared
    runs = np.concatenate(grams)
    owners = np.repeat(np.arange(len(grams)), [len(song) for song in grams])
    order = np.argsort(runs, kind="stable")
    runs, owners = runs[order], owners[order]
    first = np.flatnonzero(np.append(True, runs[1:] != runs[:-1])) if len(runs) else owners
    for start, end in pairwise([*first.tolist(), len(runs)]):
        if end - start > 1:
            shared.update(combinations(owners[start:end].tolist(), 2))
    return shared


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
    shares = {song_id: _share(groups.get(song_id, song_id)) for song_id in song_ids}
    bound = max(validation_fraction, min(shares.values(), default=0.0))
    return {
        song_id: "validation" if share < validation_fraction or share == bound else "train"
        for song_id, share in shares.items()
    }


def _share(name: str) -> float:
    """A number in [0, 1) that belongs to a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
