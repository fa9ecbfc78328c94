"""The longest passage of a training melody that a song quotes, however it is disguised.

A quotation stays one when it is transposed, begins elsewhere in the bar, is played at another
tempo or by another track. So melodies are compared by their intervals and by the ratios of
successive distances between onsets, and every monophonic line of the song is searched
(`melodic_lines`), not the melody track alone. Durations do not matter.

Songs quote each other by chance: scales, arpeggios and repeated notes are common property. The
search over songs that no model has seen says how much (`ChanceLevel`), and a song counts as
memorised when it quotes more than that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phrase_models.metrics.melodic_lines import MelodicLine, line_of_tokens, melodic_lines
from phrase_models.metrics.memorisation import TrainingMelodies, is_excluded
from phrase_models.score.song import STEPS_PER_BAR, Song, Track

SEED_INTERVALS = 4
"""Intervals in a row, with their rhythm, that start a comparison note by note."""
ONSET_TOLERANCE = 1
"""Steps that an onset may be off: what rounding to the grid does at another tempo."""
MAX_TEMPO_RATIO = 4.0
SIMPLE_RATIOS = np.array([1 / 4, 1 / 3, 1 / 2, 2 / 3, 1.0, 3 / 2, 2.0, 3.0, 4.0])
FALSE_POSITIVE_RATE = 1e-4
"""Of 200 original songs, one is called memorised in one evaluation of fifty."""
MIN_CHANCE_SONGS = 10
_HASH_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Quotation:
    """The longest passage of one training melody found in a song.

    Attributes:
        num_notes: notes in a row; 0 where nothing was found.
        num_moves: of these, notes on another pitch than the one before. Repeated notes are the
            commonest chance agreement and say little, so the longest passage is that of the most
            moves.
        num_bars: bars of the training song from the first onset to the last.
        start_bar: bar of the song in which it begins.
        line: the line of the song that plays it.
        song_id: the training song, "" where nothing was found.
        training_start_bar: bar of the training song in which it begins.
        transposition: semitones from the training song to this one.
        tempo_ratio: time in this song over time in the training song; 2 at half tempo.
    """

    num_notes: int = 0
    num_moves: int = 0
    num_bars: float = 0.0
    start_bar: int = 0
    line: str = ""
    song_id: str = ""
    training_start_bar: int = 0
    transposition: int = 0
    tempo_ratio: float = math.nan


@dataclass(frozen=True, slots=True)
class QuotationIndex:
    """All training melodies in one row, and where each short pattern stands in it.

    Attributes:
        onsets: steps from the start of each song, `(N,)`.
        pitches: MIDI numbers, `(N,)`.
        song_index: training song of each note, `(N,)`.
        moves_before: notes up to each one that differ in pitch from the one before, `(N,)`.
        keys: hashes of the patterns, ascending, `(M,)`.
        places: first note of each pattern, `(M,)`.
        training: the training melodies.
    """

    onsets: np.ndarray
    pitches: np.ndarray
    song_index: np.ndarray
    moves_before: np.ndarray
    keys: np.ndarray
    places: np.ndarray
    training: TrainingMelodies


def _pattern_keys(onsets: np.ndarray, pitches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash `(N - 4,)` of intervals and onset ratios from each note on, and where one moves.

    Equal patterns have equal hashes; the comparison that follows sorts out the rare others.
    """
    num_patterns = max(0, len(onsets) - SEED_INTERVALS)
    keys = np.zeros(num_patterns, dtype=np.uint64)
    moves = np.zeros(num_patterns, dtype=bool)
    if not num_patterns:
        return keys, moves
    intervals, distances = np.diff(pitches), np.diff(onsets)
    divisor = np.gcd(distances[1:], distances[:-1])
    # Where one melody of the row ends and the next begins, the distance may be 0 or negative.
    divisor = np.where(divisor > 0, divisor, 1)
    ratios = (distances[1:] // divisor) * 8191 + distances[:-1] // divisor
    for offset in range(SEED_INTERVALS):
        interval = intervals[offset : offset + num_patterns]
        keys = (keys + (interval + 1000).astype(np.uint64)) * _HASH_BASE
        moves |= interval != 0
        if offset:
            ratio = ratios[offset - 1 : offset - 1 + num_patterns]
            keys = (keys + ratio.astype(np.uint64)) * _HASH_BASE
        keys ^= keys >> np.uint64(29)
    return keys, moves


def build_quotation_index(training: TrainingMelodies) -> QuotationIndex:
    """Index the training melodies for `longest_quotation`.

    Patterns are indexed as they are and as they become at double tempo, where sixteenths fall
    between the steps of the grid and are rounded down or up.
    """
    lines = [
        line_of_tokens(song_id, tokens)
        for song_id, tokens in zip(training.song_ids, training.iter_tokens(), strict=True)
    ]
    empty = np.zeros(0, dtype=np.int64)
    onsets = np.concatenate([empty, *(line.onsets for line in lines)])
    pitches = np.concatenate([empty, *(line.pitches for line in lines)])
    song_index = np.repeat(np.arange(len(lines)), [len(line.onsets) for line in lines])
    keys, moves = _pattern_keys(onsets, pitches)
    whole = song_index[: len(keys)] == song_index[len(song_index) - len(keys) :]
    places = np.flatnonzero(moves & whole)
    all_keys, all_places = [keys[places]], [places]
    for rounding in (0, 1):
        rounded, _ = _pattern_keys((onsets + rounding) // 2, pitches)
        new = places[rounded[places] != keys[places]]
        all_keys.append(rounded[new])
        all_places.append(new)
    keys, places = np.concatenate(all_keys), np.concatenate(all_places)
    order = np.argsort(keys, kind="stable")
    moves_before = np.concatenate((empty, [0], np.cumsum(np.diff(pitches) != 0)))[: len(pitches)]
    return QuotationIndex(
        onsets=onsets.astype(np.int32),
        pitches=pitches.astype(np.int32),
        song_index=song_index.astype(np.int32),
        moves_before=moves_before.astype(np.int32),
        keys=keys[order],
        places=places[order].astype(np.int32),
        training=training,
    )


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Places of the song `first` and the index `second` with equal patterns, each `(C,)`."""

    first: np.ndarray
    second: np.ndarray
    tempo_ratio: np.ndarray


def _tempo_ratios(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Time here over time there; the nearest simple ratio where that fits to the step."""
    ratio = here / np.maximum(there, 1)
    simple = SIMPLE_RATIOS[np.abs(ratio[:, None] - SIMPLE_RATIOS).argmin(axis=1)]
    return np.where(np.abs(here - simple * there) <= ONSET_TOLERANCE, simple, ratio)


def _candidates(line: MelodicLine, index: QuotationIndex, excluded: np.ndarray) -> _Candidates:
    keys, moves = _pattern_keys(line.onsets, line.pitches)
    starts = np.flatnonzero(moves)
    low = np.searchsorted(index.keys, keys[starts], side="left")
    high = np.searchsorted(index.keys, keys[starts], side="right")
    counts = high - low
    first = np.repeat(starts, counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    second = index.places[np.repeat(low, counts) + offsets]
    kept = ~excluded[index.song_index[second]]
    first, second = first[kept], second[kept]
    # Of patterns that follow each other in both melodies the first one leads to all.
    order = np.lexsort((first, second - first))
    first, second = first[order], second[order]
    follows = np.zeros(len(first), dtype=bool)
    follows[1:] = (np.diff(first) == 1) & (np.diff(second) == 1)
    first, second = first[~follows], second[~follows]
    here = line.onsets[first + SEED_INTERVALS] - line.onsets[first]
    there = index.onsets[second + SEED_INTERVALS] - index.onsets[second]
    ratio = _tempo_ratios(here, there)
    near = (ratio <= MAX_TEMPO_RATIO) & (ratio >= 1.0 / MAX_TEMPO_RATIO)
    return _Candidates(first[near], second[near], ratio[near])


def _played(track: Track) -> np.ndarray:
    """Whether a note of each pitch begins within the tolerance of each step, `(T, 128)` bool."""
    onsets = np.array([note.onset for note in track.notes], dtype=np.int64)
    pitches = np.array([note.pitch for note in track.notes], dtype=np.int64)
    played = np.zeros((int(onsets.max(initial=0)) + ONSET_TOLERANCE + 1, 128), dtype=bool)
    for offset in range(-ONSET_TOLERANCE, ONSET_TOLERANCE + 1):
        steps = onsets + offset
        played[steps[steps >= 0], pitches[steps >= 0]] = True
    return played


def _reach(
    line: MelodicLine, played: np.ndarray, index: QuotationIndex, found: _Candidates, *, step: int
) -> np.ndarray:
    """Training notes in a row that the song plays too, from each place on, `(C,)`.

    Args:
        line: where the places `found.first` are.
        played: `(T, 128)` bool, whether the track has a note there or within the tolerance.
        index: the training melodies.
        found: the places to start from.
        step: direction, 1 or -1.
    """
    reach = np.zeros(len(found.first), dtype=np.int64)
    active = np.arange(len(found.first))
    while len(active):
        first, second = found.first[active], found.second[active]
        there = second + step * (reach[active] + 1)
        inside = (there >= 0) & (there < len(index.onsets))
        there = np.where(inside, there, second)
        inside &= index.song_index[there] == index.song_index[second]
        passed = (index.onsets[there] - index.onsets[second]) * found.tempo_ratio[active]
        onset = np.floor(line.onsets[first] + passed + 0.5).astype(np.int64)
        pitch = line.pitches[first] + index.pitches[there] - index.pitches[second]
        inside &= (onset >= 0) & (onset < len(played)) & (pitch >= 0) & (pitch < 128)
        agrees = inside & played[np.where(inside, onset, 0), np.where(inside, pitch, 0)]
        active = active[agrees]
        reach[active] += 1
    return reach


def _longest_in_line(
    line: MelodicLine, played: np.ndarray, index: QuotationIndex, excluded: np.ndarray
) -> Quotation | None:
    found = _candidates(line, index, excluded)
    if not len(found.first):
        return None
    start = found.second - _reach(line, played, index, found, step=-1)
    end = found.second + _reach(line, played, index, found, step=1)
    num_moves = index.moves_before[end] - index.moves_before[start]
    best = int(np.lexsort((start - end, -num_moves))[0])
    first, last = int(start[best]), int(end[best])
    anchor, ratio = int(found.second[best]), float(found.tempo_ratio[best])
    passed = float(index.onsets[first] - index.onsets[anchor]) * ratio
    here = int(found.first[best])
    song = int(index.song_index[first])
    return Quotation(
        num_notes=last - first + 1,
        num_moves=int(num_moves[best]),
        num_bars=float(index.onsets[last] - index.onsets[first]) / STEPS_PER_BAR,
        start_bar=max(0, math.floor(line.onsets[here] + passed + 0.5)) // STEPS_PER_BAR,
        line=line.name,
        song_id=index.training.song_ids[song],
        training_start_bar=int(index.onsets[first]) // STEPS_PER_BAR,
        transposition=int(line.pitches[here] - index.pitches[anchor]),
        tempo_ratio=ratio,
    )


def longest_quotation(
    song: Song, index: QuotationIndex, *, exclude_song_id: str | None = None
) -> Quotation:
    """Find the longest passage of a training melody in any track of a song.

    Notes of a passage agree in all intervals, and in onsets up to one step once the tempo is
    matched; the track may play other notes too. Patterns of five notes with exactly proportional
    onsets lead to the passages: one that never has five such notes in a row as highest or lowest
    notes of its track, because it lies inside the chords, is not found.

    Args:
        song: the song to search.
        index: `build_quotation_index` of the training melodies.
        exclude_song_id: a training song to leave out, with its duplicates.

    Returns:
        The passage with most moves, of equal ones that with most notes; an empty `Quotation`
        where nothing was found.
    """
    excluded = is_excluded(index.training, exclude_song_id)
    found = [
        quotation
        for track in song.tracks
        for played in [_played(track)]
        for line in melodic_lines(track)
        if (quotation := _longest_in_line(line, played, index, excluded)) is not None
    ]
    return max(found, key=lambda item: (item.num_moves, item.num_notes), default=Quotation())


@dataclass(frozen=True, slots=True)
class ChanceLevel:
    """What songs quote that no model has made.

    Attributes:
        num_moves: moves of the longest quotation of each song.
        threshold: moves above which a quotation is no chance; nan where there are too few songs
            to tell.
    """

    num_moves: tuple[int, ...]
    threshold: float

    def is_memorised(self, quotation: Quotation) -> bool:
        """Whether a song quotes more than chance explains."""
        return quotation.num_moves > self.threshold


def chance_level(
    songs: Sequence[Song],
    index: QuotationIndex,
    *,
    leave_one_out: bool = False,
    false_positive_rate: float = FALSE_POSITIVE_RATE,
) -> ChanceLevel:
    """Search songs that are not in the training set in the same way.

    The longest of many chance agreements follows a Gumbel distribution (Karlin and Altschul
    1990); it is fitted by its two moments, and the threshold is its upper quantile. The largest of
    the songs itself would be exceeded by one in as many generated songs as there were real ones.

    Args:
        songs: songs to search, such as the held-out ones; no versions of training songs, which
            would raise the threshold.
        index: the training melodies.
        leave_one_out: songs are training songs, each compared with the others.
        false_positive_rate: share of original songs that may exceed the threshold by chance.

    Undefined (threshold nan): fewer than 10 songs.
    """
    moves = tuple(
        longest_quotation(
            song, index, exclude_song_id=song.song_id if leave_one_out else None
        ).num_moves
        for song in songs
    )
    if len(moves) < MIN_CHANCE_SONGS:
        return ChanceLevel(moves, math.nan)
    scale = float(np.std(moves, ddof=1)) * math.sqrt(6.0) / math.pi
    location = float(np.mean(moves)) - float(np.euler_gamma) * scale
    quantile = location - scale * math.log(-math.log1p(-false_positive_rate))
    return ChanceLevel(moves, max(quantile, float(max(moves))))
