"""Songs that are in a corpus twice, and the split that keeps them together."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

Split = Literal["train", "validation"]
GRAM = 12
MIN_OVERLAP = 0.15
"""Shared melody of a pair; in POP909 duplicates share .31 and more, other pairs at most .05."""


def _grams(pitches: Sequence[int]) -> frozenset[tuple[int, ...]]:
    """Runs of pitch intervals, so that a transposed copy counts too."""
    steps = [after - before for before, after in pairwise(pitches)]
    return frozenset(tuple(steps[i : i + GRAM]) for i in range(len(steps) - GRAM + 1))


def find_duplicate_groups(melodies: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Songs whose melodies share many runs of 12 intervals.

    Args:
        melodies: pitches in order, by song id.

    Returns:
        Group name (the smallest song id in it) of every song that has a duplicate.
    """
    grams = {song_id: _grams(pitches) for song_id, pitches in melodies.items()}
    owners: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for song_id in sorted(grams):
        for gram in grams[song_id]:
            owners[gram].append(song_id)
    shared: dict[tuple[str, str], int] = defaultdict(int)
    for songs in owners.values():
        for index, first in enumerate(songs):
            for second in songs[index + 1 :]:
                shared[first, second] += 1
    groups: dict[str, str] = {}
    for (first, second), count in sorted(shared.items()):
        if count >= MIN_OVERLAP * min(len(grams[first]), len(grams[second])):
            _join(groups, first, second)
    return groups


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
