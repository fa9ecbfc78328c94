"""Aligning a MIDI file to the bars of a human analysis: beat-locked Viterbi.

The analysis counts bars; the MIDI file has a beat grid without barlines, and now and then half a
bar more than the analysis. States are offsets between the two in whole beats; melody notes and
chord roots vote for them, and a change of offset has to pay. All times are 16ths ("sixteenths" of a
bar) relative to the beat phase.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phrase_models.sources.pop909.annotations import NO_ROOT

MIN_VOTES = 5
MAX_STATES = 40
NUM_STRONG = 12
NEIGHBOURS = (-16, -12, -8, -4, 4, 8, 12, 16)
STRONG_SHARE = 0.25
EXACT_CREDIT, NEAR_CREDIT = 1.0, 0.7
ROOT_CREDIT, SILENCE_CREDIT = 0.4, 0.2

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of beats with one offset: 16th t of the analysis is 16th t + offset of the MIDI file.

    Attributes:
        first_beat, last_beat: of the analysis, both inside.
        offset: 16ths, a multiple of 4.
    """

    first_beat: int
    last_beat: int
    offset: int


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the analysis lies over the MIDI file.

    Attributes:
        segments: in order, without holes.
        residual: 16ths by which the analysis' melody is late against the beat, -2..2.
        score: of the best path.
        match_near: share of the analysis' melody notes found within one 16th.
        chord_agreement: share of beats with equal chord roots.
    """

    segments: tuple[Segment, ...]
    residual: int
    score: float
    match_near: float
    chord_agreement: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is aligned.

    Attributes:
        midi_notes: (16th, pitch) of the MIDI melody (N, 2).
        notes: (16th from bar 0, pitch) of the analysis (M, 2).
        midi_roots: chord root of every 16th of the MIDI file, NO_ROOT outside.
        first_sixteenth: 16th of midi_roots[0].
        roots: chord root of every beat of the analysis.
        boundaries: beats at which a section begins.
        num_beats: beats of the analysis.
    """

    midi_notes: IntArray
    notes: IntArray
    midi_roots: IntArray
    first_sixteenth: int
    roots: IntArray
    boundaries: frozenset[int]
    num_beats: int


def align(evidence: Evidence) -> Alignment:
    """The best path of offsets.

    Where the melody is half a beat off it may be early or late: both are tried.
    """
    votes = count_votes(evidence)
    residual = find_residual(votes)
    candidates = [residual, -2] if residual == 2 else [residual]
    return max((_align(evidence, votes, item) for item in candidates), key=lambda a: a.score)


def count_votes(evidence: Evidence) -> dict[int, int]:
    """Offset -> number of pairs of equal pitch that lie so far apart."""
    offsets = []
    for pitch in np.unique(evidence.notes[:, 1]):
        there = evidence.midi_notes[evidence.midi_notes[:, 1] == pitch, 0]
        here = evidence.notes[evidence.notes[:, 1] == pitch, 0]
        offsets.append((there[:, None] - here[None, :]).ravel())
    if not offsets:
        return {}
    values, counts = np.unique(np.concatenate(offsets), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _strongest(votes: dict[int, int]) -> list[tuple[int, int]]:
    """(offset, votes), most votes first; ties by offset."""
    return sorted(votes.items(), key=lambda item: (-item[1], item[0]))


def find_residual(votes: dict[int, int]) -> int:
    """Where within the beat the strong offsets lie: 0, 1, -1 or 2."""
    strong = _strongest(votes)[:NUM_STRONG]
    if not strong:
        return 0
    totals = [0, 0, 0, 0]
    for offset, count in strong:
        if count >= STRONG_SHARE * strong[0][1]:
            totals[offset % 4] += count
    best = max(range(4), key=lambda rest: (totals[rest], -rest))
    return -1 if best == 3 else best


def candidate_offsets(votes: dict[int, int], residual: int) -> IntArray:
    """Offsets worth considering: voted ones snapped to the beat, neighbours of the strongest."""
    strong = [item for item in _strongest(votes) if item[1] >= MIN_VOTES][:MAX_STATES]
    snapped = [4 * round((offset - residual) / 4) for offset, _ in strong]
    states = set(snapped)
    for offset in snapped[:NUM_STRONG]:
        states |= {offset + step for step in NEIGHBOURS}
    return np.array(sorted(states or {0}), np.int64)


def _align(evidence: Evidence, votes: dict[int, int], residual: int) -> Alignment:
    offsets = candidate_offsets(votes, residual)
    exact, near = match_notes(evidence, offsets, residual)
    equal_roots, both_silent = match_roots(evidence, offsets)
    credit = exact * EXACT_CREDIT + (near & ~exact) * NEAR_CREDIT
    emission = ROOT_CREDIT * equal_roots + SILENCE_CREDIT * both_silent
    beats = evidence.notes[:, 0] // 4
    np.add.at(emission, beats, credit)
    path, score = _viterbi(emission, offsets, evidence.boundaries)
    rows = np.arange(len(path))
    agreement = (equal_roots | both_silent)[rows, path][: len(evidence.roots)]
    return Alignment(
        segments=_segments(offsets[path]),
        residual=residual,
        score=score,
        match_near=float(near[np.arange(len(beats)), path[beats]].mean()) if len(beats) else 0.0,
        chord_agreement=float(agreement.mean()) if len(agreement) else 0.0,
    )


def match_notes(
    evidence: Evidence, offsets: IntArray, residual: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each note of the analysis is in the MIDI melody, exactly and within one 16th.

    Returns:
        Two arrays (notes, offsets); near includes exact.
    """
    here = evidence.notes[:, 0, None] + offsets[None, :] + residual
    low = min(int(here.min(initial=0)), int(evidence.midi_notes[:, 0].min(initial=0))) - 1
    high = max(int(here.max(initial=0)), int(evidence.midi_notes[:, 0].max(initial=0))) + 1
    present = np.zeros((high - low + 1, 128), np.bool_)
    present[evidence.midi_notes[:, 0] - low, evidence.midi_notes[:, 1]] = True
    pitch = evidence.notes[:, 1, None]
    exact = present[here - low, pitch]
    return exact, exact | present[here - low - 1, pitch] | present[here - low + 1, pitch]


def match_roots(
    evidence: Evidence, offsets: IntArray
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether chord roots agree at each beat: (beats, offsets), both sounding and both silent."""
    beats = np.arange(evidence.num_beats)
    places = 4 * beats[:, None] + 1 + offsets[None, :] - evidence.first_sixteenth
    inside = (places >= 0) & (places < len(evidence.midi_roots))
    there = np.where(
        inside, evidence.midi_roots[np.clip(places, 0, len(evidence.midi_roots) - 1)], NO_ROOT
    )
    here = np.full(evidence.num_beats, NO_ROOT, np.int64)
    here[: len(evidence.roots)] = evidence.roots[: evidence.num_beats]
    known = (beats < len(evidence.roots))[:, None]
    equal = there == here[:, None]
    silent = here[:, None] == NO_ROOT
    return known & equal & ~silent, known & equal & silent


def _viterbi(
    emission: NDArray[np.float64], offsets: IntArray, boundaries: frozenset[int]
) -> tuple[IntArray, float]:
    """Best state of every beat (B,), and its score."""
    change = offsets[:, None] - offsets[None, :]  # to the row's offset from the column's
    size = np.abs(change)
    moving = 5.0 + (change % 8 != 0) + (change < 0) + size / 16 + 15.0 * (size > 24)
    stay = np.eye(len(offsets), dtype=np.bool_)
    costs = {extra: np.where(stay, 0.0, moving + extra) for extra in (0.0, 1.5, -0.75, 0.75)}
    rows = np.arange(len(offsets))
    score = emission[0].copy()
    came_from = np.zeros(emission.shape, np.int64)
    for beat in range(1, len(emission)):
        extra = 1.5 * (beat % 4 != 0) - 0.75 * (beat in boundaries)
        total = score - costs[extra]
        best = total.argmax(1)
        came_from[beat] = best
        score = total[rows, best] + emission[beat]
    path = np.zeros(len(emission), np.int64)
    path[-1] = score.argmax()
    for beat in range(len(emission) - 1, 0, -1):
        path[beat - 1] = came_from[beat, path[beat]]
    return path, float(score.max())


def _segments(offsets: IntArray) -> tuple[Segment, ...]:
    starts = [0, *(np.flatnonzero(np.diff(offsets)) + 1).tolist(), len(offsets)]
    return tuple(Segment(first, end - 1, int(offsets[first])) for first, end in pairwise(starts))


def to_grid(
    segments: Sequence[Segment], sixteenths: IntArray
) -> tuple[IntArray, NDArray[np.bool_]]:
    """MIDI 16ths -> the offset to subtract from each, and which lie in no segment.

    After a forward jump the MIDI material between two segments is dropped; before a backward jump
    the earlier segment stops where the later one begins, and a gap stays before the barline.
    """
    offset = np.zeros(len(sixteenths), np.int64)
    found = np.zeros(len(sixteenths), np.bool_)
    for index, segment in enumerate(segments):
        start = 4 * segment.first_beat + segment.offset
        inside = sixteenths >= start if index else np.ones(len(sixteenths), np.bool_)
        if index + 1 < len(segments):
            following = segments[index + 1]
            end = 4 * following.first_beat + min(segment.offset, following.offset)
            inside = inside & (sixteenths < end)
        offset[inside] = segment.offset
        found |= inside
    return offset, ~found
