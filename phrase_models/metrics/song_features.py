"""Plain features of a song's notes and a Fréchet distance on them: no model involved.

Songs are taken as key-normalised (C major or A minor), which is how they are stored.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from phrase_models.metrics.distribution import song_distance
from phrase_models.metrics.result import MetricResult, undefined
from phrase_models.score.song import MELODY, SIXTEENTH, STEPS_PER_BAR, Note, Song

C_MAJOR = frozenset({0, 2, 4, 5, 7, 9, 11})
"""Pitch classes of C major and A minor."""
NUM_COMPONENTS = 8
_EPSILON = 1e-9
_INTERVAL_EDGES = (-7.5, -4.5, -2.5, -0.5, 0.5, 2.5, 4.5, 7.5)
"""Falling wide, leap, third, step; repeated; rising step, third, leap, wide (semitones)."""
_DURATION_EDGES = (3.5, 6.5, 12.5, 24.5, 48.5)
"""Up to a sixteenth, an eighth, a quarter, a half, a bar, and longer (steps)."""
_NUM_EIGHTHS = 8


def _notes(song: Song) -> list[Note]:
    return [note for track in song.tracks for note in track.notes]


def in_scale_rate(song: Song) -> float:
    """Share of notes in C major; each note counts once.

    Undefined (nan): no notes.
    """
    notes = _notes(song)
    if not notes:
        return math.nan
    return sum(note.pitch % 12 in C_MAJOR for note in notes) / len(notes)


def note_density(song: Song) -> float:
    """Notes a bar, all tracks together.

    Undefined (nan): no bars.
    """
    return song.num_notes / song.num_bars if song.num_bars else math.nan


def polyphony(song: Song) -> float:
    """Mean number of sounding notes over the steps where any note sounds.

    Notes of all tracks count, two of one pitch as two; a note over the song's end sounds on.
    Source: MusPy `polyphony`.

    Undefined (nan): no notes.
    """
    notes = _notes(song)
    if not notes:
        return math.nan
    begins = np.array([note.onset for note in notes])
    ends = begins + np.array([note.duration for note in notes])
    changes = np.zeros(int(ends.max()) + 1, dtype=np.int64)
    np.add.at(changes, begins, 1)
    np.add.at(changes, ends, -1)
    sounding = np.cumsum(changes)
    return float(sounding.sum() / np.count_nonzero(sounding))


def _onset_pattern(song: Song) -> np.ndarray:
    """Whether any note starts, (num_bars, 48) bool."""
    pattern = np.zeros(song.num_bars * STEPS_PER_BAR, dtype=bool)
    onsets = np.array([note.onset for note in _notes(song)], dtype=np.int64)
    pattern[onsets[(onsets >= 0) & (onsets < len(pattern))]] = True
    return pattern.reshape(song.num_bars, STEPS_PER_BAR)


def groove_consistency(song: Song) -> float:
    """1 - mean share of steps on which the onset patterns of adjacent bars differ.

    Source: MusPy `groove_consistency`, after Wu and Yang 2020, on 48 steps a bar.

    Undefined (nan): fewer than two bars.
    """
    if song.num_bars < 2:
        return math.nan
    pattern = _onset_pattern(song)
    return 1.0 - float(np.mean(pattern[1:] != pattern[:-1]))


def empty_bar_rate(song: Song) -> float:
    """Share of bars in which no note starts.

    Undefined (nan): no bars.
    """
    if not song.num_bars:
        return math.nan
    return 1.0 - float(_onset_pattern(song).any(axis=1).mean())


def tracks_per_bar(song: Song) -> float:
    """Mean number of tracks with an onset in a bar.

    Undefined (nan): no bars.
    """
    if not song.num_bars:
        return math.nan
    active = {
        (track.program, note.onset // STEPS_PER_BAR)
        for track in song.tracks
        for note in track.notes
        if 0 <= note.onset < song.num_bars * STEPS_PER_BAR
    }
    return len(active) / song.num_bars


def pitch_range(song: Song) -> float:
    """Highest minus lowest pitch, in semitones.

    Undefined (nan): no notes.
    """
    pitches = [note.pitch for note in _notes(song)]
    return float(max(pitches) - min(pitches)) if pitches else math.nan


def distinct_bar_rate(song: Song) -> float:
    """Distinct bars (onsets, pitches, durations, programs) over bars; 1 when none repeats.

    Undefined (nan): no bars.
    """
    if not song.num_bars:
        return math.nan
    bars: list[list[tuple[int, int, int, int]]] = [[] for _ in range(song.num_bars)]
    for track in song.tracks:
        for note in track.notes:
            bar, onset = divmod(note.onset, STEPS_PER_BAR)
            if 0 <= bar < song.num_bars:
                bars[bar].append((track.program, onset, note.pitch, note.duration))
    return len({tuple(sorted(bar)) for bar in bars}) / song.num_bars


def _histogram(values: Sequence[int], edges: Sequence[float]) -> np.ndarray:
    """Shares of the bins below, between and above the edges; zeros without values."""
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return counts / max(1, len(values))


def _melody_intervals(song: Song) -> list[int]:
    notes = [n for track in song.tracks if track.program == MELODY for n in track.notes]
    top: dict[int, int] = {}
    for note in notes:
        top[note.onset] = max(note.pitch, top.get(note.onset, 0))
    line = [pitch for _, pitch in sorted(top.items())]
    return [after - before for before, after in itertools.pairwise(line)]


FEATURE_NAMES: tuple[str, ...] = (
    *(f"pitch_class_{index}" for index in range(12)),
    *(f"melody_interval_{index}" for index in range(len(_INTERVAL_EDGES) + 1)),
    *(f"onset_eighth_{index}" for index in range(_NUM_EIGHTHS)),
    *(f"duration_{index}" for index in range(len(_DURATION_EDGES) + 1)),
    "off_eighth_rate",
    "note_density",
    "polyphony",
    "pitch_range",
    "mean_pitch",
    "in_scale_rate",
    "groove_consistency",
    "empty_bar_rate",
    "tracks_per_bar",
    "distinct_bar_rate",
)


_PITCH_CLASSES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat")
_INTERVALS = (
    "falling by more than a fifth",
    "falling by a fourth or fifth",
    "falling by a third",
    "falling by a step",
    "staying",
    "rising by a step",
    "rising by a third",
    "rising by a fourth or fifth",
    "rising by more than a fifth",
)
_DURATIONS = ("a sixteenth", "an eighth", "a quarter", "a half", "a bar", "over a bar")

FEATURE_WORDS: tuple[str, ...] = (
    *(f"share of notes on {name}" for name in (*_PITCH_CLASSES, "B")),
    *(f"melody {name}" for name in _INTERVALS),
    *(f"share of onsets in eighth {index + 1} of the bar" for index in range(_NUM_EIGHTHS)),
    *(f"share of notes of up to {name}" for name in _DURATIONS[:-1]),
    f"share of notes of {_DURATIONS[-1]}",
    "share of onsets off the eighths",
    "notes a bar",
    "notes sounding at once",
    "range of pitches",
    "mean pitch",
    "share of notes in the scale",
    "likeness of rhythm from bar to bar",
    "share of silent bars",
    "tracks a bar",
    "share of distinct bars",
)
"""FEATURE_NAMES in words, for the reader of a report."""


def song_features(song: Song) -> np.ndarray:
    """Features of one song, `[45]`, in the order of FEATURE_NAMES.

    Histograms are shares (zeros without notes); single values that are undefined are 0.
    """
    notes = _notes(song)
    pitches = np.array([note.pitch for note in notes], dtype=np.int64)
    steps = np.array([note.onset % STEPS_PER_BAR for note in notes], dtype=np.int64)
    num_notes = max(1, len(notes))
    singles = (
        float(np.mean(steps % (2 * SIXTEENTH) != 0)) if notes else 0.0,
        note_density(song),
        polyphony(song),
        pitch_range(song),
        float(pitches.mean()) if notes else 0.0,
        in_scale_rate(song),
        groove_consistency(song),
        empty_bar_rate(song),
        tracks_per_bar(song),
        distinct_bar_rate(song),
    )
    return np.concatenate(
        (
            np.bincount(pitches % 12, minlength=12) / num_notes,
            _histogram(_melody_intervals(song), _INTERVAL_EDGES),
            np.bincount(steps // (2 * SIXTEENTH), minlength=_NUM_EIGHTHS) / num_notes,
            _histogram([note.duration for note in notes], _DURATION_EDGES),
            np.nan_to_num(np.array(singles)),
        )
    )


def feature_frechet(generated: np.ndarray, reference: np.ndarray, *, seed: int = 0) -> MetricResult:
    """Exact Fréchet distance of song features, (num_songs, F) on each side.

    Features are scaled by the reference's mean and standard deviation and projected on its first
    eight principal axes: a song is one sample, so a covariance of all features would need more
    songs than an evaluation has. It still falls with the number of songs: compare it with a floor
    measured on as many.

    Undefined (nan): fewer than 16 songs on either side.
    """
    name = "feature_frechet"
    if min(len(generated), len(reference)) < 2 * NUM_COMPONENTS:
        note = (
            f"needs {2 * NUM_COMPONENTS} songs on each side, "
            f"has {len(generated)} generated and {len(reference)} reference"
        )
        return undefined(name, note, num_items=len(generated))
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    # A feature that never varies in the reference (an empty pitch class, say) has no scale.
    scale = np.where(deviation > _EPSILON, deviation, 1.0)
    scaled = (reference - mean) / scale
    _, _, axes = np.linalg.svd(scaled, full_matrices=False)
    project = axes[:NUM_COMPONENTS].T
    rows = ((generated - mean) / scale) @ project
    return song_distance(
        name, list(rows[:, None, :]), list((scaled @ project)[:, None, :]), seed=seed
    )
