"""The longest run of melody bars that a song shares with a training song.

Complements the edit distances of `memorisation`: a song that is new as a whole can still quote
eight bars.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phrase_models.metrics.memorisation import TrainingMelodies, is_excluded
from phrase_models.tokens.vocabulary import END_OF_BAR, FIRST_PITCH, NUM_PITCHES

_REST = 0
_BREAK = -1


@dataclass(frozen=True, slots=True)
class CopiedRun:
    """The longest run found.

    Attributes:
        num_bars: bars from the first to the last sounding bar of the run; 0 where nothing fits.
        start_bar: first bar in the song.
        song_id: the training song, "" where nothing fits.
        training_start_bar: first bar in the training song.
        transposition: semitones from the training song to this one.
    """

    num_bars: int
    start_bar: int
    song_id: str
    training_start_bar: int
    transposition: int


@dataclass(frozen=True, slots=True)
class CopyIndex:
    """All bars of the training melodies in one row, songs parted by one bar that equals nothing.

    Attributes:
        keys: number of each bar's content, equal for equal bars, `[num_bars]`; 0 for a rest.
        pitches: first pitch of each bar, `[num_bars]`.
        song_index: training song of each bar, `[num_bars]`.
        bar_index: place of each bar in its song, `[num_bars]`.
        training: the training melodies.
        known: content to number.
        ignores_key: whether a bar equals its transpositions.
    """

    keys: np.ndarray
    pitches: np.ndarray
    song_index: np.ndarray
    bar_index: np.ndarray
    training: TrainingMelodies
    known: dict[tuple[int, ...], int]
    ignores_key: bool


def _split_bars(tokens: Sequence[int]) -> list[tuple[int, ...]]:
    bars: list[tuple[int, ...]] = []
    current: list[int] = []
    for token in tokens:
        if token == END_OF_BAR:
            bars.append(tuple(current))
            current = []
        else:
            current.append(token)
    if current:
        bars.append(tuple(current))
    return bars


def _is_pitch(token: int) -> bool:
    return FIRST_PITCH <= token < FIRST_PITCH + NUM_PITCHES


def _content(bar: tuple[int, ...], *, ignores_key: bool) -> tuple[tuple[int, ...], int]:
    """Content of a bar and its first pitch (0 for a rest)."""
    first = next((token - FIRST_PITCH for token in bar if _is_pitch(token)), 0)
    if not ignores_key:
        return bar, first
    # Below zero, so that no pitch difference can be taken for another token.
    relative = (token - FIRST_PITCH - first - 1000 if _is_pitch(token) else token for token in bar)
    return tuple(relative), first


def build_copy_index(training: TrainingMelodies, *, ignores_key: bool = False) -> CopyIndex:
    """Index the bars of the training melodies.

    Args:
        training: the training melodies.
        ignores_key: take bars as equal when they are transpositions of each other; a run then
            has one transposition throughout.
    """
    known: dict[tuple[int, ...], int] = {(): _REST}
    rows = array("i")
    for song_index, tokens in enumerate(training.iter_tokens()):
        for bar_index, bar in enumerate(_split_bars(tokens)):
            content, pitch = _content(bar, ignores_key=ignores_key)
            rows.extend((known.setdefault(content, len(known)), pitch, song_index, bar_index))
        rows.extend((_BREAK, 0, song_index, -1))
    table = np.array(rows, dtype=np.int32).reshape(-1, 4)
    keys, pitches, song_indices, bar_indices = (np.ascontiguousarray(c) for c in table.T)
    return CopyIndex(
        keys=keys,
        pitches=pitches,
        song_index=song_indices,
        bar_index=bar_indices,
        training=training,
        known=known,
        ignores_key=ignores_key,
    )


def longest_copied_run(
    melody: Sequence[int], index: CopyIndex, *, exclude_song_id: str | None = None
) -> CopiedRun:
    """Find the longest run of consecutive bars that is in a training melody too.

    Bars are equal when onsets, pitches (or pitch steps) and durations all are. Rests may lie
    inside a run, not at its ends. Of equally long runs the earliest in the song is returned.

    Args:
        melody: token ids (`melody_tokens`).
        index: `build_copy_index` of the training melodies.
        exclude_song_id: a training song to leave out, with its duplicates.
    """
    keys = index.keys
    excluded = is_excluded(index.training, exclude_song_id)
    if excluded.any():
        keys = np.where(excluded[index.song_index], _BREAK, keys)
    best = CopiedRun(0, 0, "", 0, 0)
    run = np.zeros(len(keys), dtype=np.int32)
    shift = np.zeros(len(keys), dtype=np.int32)
    for bar_index, bar in enumerate(_split_bars(melody)):
        content, pitch = _content(bar, ignores_key=index.ignores_key)
        key = index.known.get(content)
        previous_run = np.concatenate(([0], run[:-1]))
        previous_shift = np.concatenate(([0], shift[:-1]))
        equal = np.zeros(len(keys), dtype=bool) if key is None else keys == key
        if key == _REST:
            run = np.where(equal & (previous_run > 0), previous_run + 1, 0)
            shift = previous_shift
            continue
        shift = pitch - index.pitches
        goes_on = (previous_run > 0) & (previous_shift == shift)
        run = np.where(equal, np.where(goes_on, previous_run, 0) + 1, 0)
        if run.max(initial=0) > best.num_bars:
            place = int(run.argmax())
            num_bars = int(run[place])
            best = CopiedRun(
                num_bars=num_bars,
                start_bar=bar_index - num_bars + 1,
                song_id=index.training.song_ids[index.song_index[place]],
                training_start_bar=int(index.bar_index[place]) - num_bars + 1,
                transposition=int(shift[place]),
            )
    return best
