"""Alignment of melodies made here, whose true offsets are known."""

import numpy as np
import pytest

from phrase_models.sources.pop909.alignment import Evidence, Segment, align, count_votes, to_grid
from phrase_models.sources.pop909.annotations import NO_ROOT

NUM_BARS = 24
ANNOTATED_BEATS = 4 * NUM_BARS


def make_melody() -> np.ndarray:
    """Two notes a beat at odd distances, pitches drawn once: (16th from bar 0, pitch)."""
    generator = np.random.default_rng(3)
    beats = np.arange(ANNOTATED_BEATS)
    onsets = np.concatenate((4 * beats, 4 * beats + 1 + beats % 3))
    pitches = generator.integers(55, 80, len(onsets))
    return np.stack((onsets, pitches), 1)[np.argsort(onsets)]


def make_roots() -> np.ndarray:
    """A chord every half bar, no root twice in a row."""
    return np.repeat((np.arange(2 * NUM_BARS) * 5) % 12, 2)


def make_evidence(offsets: np.ndarray, *, residual: int = 0, boundaries=(0,)) -> Evidence:
    """A performance that plays annotated beat b at 16th 4 b + offsets[b]."""
    notes, roots = make_melody(), make_roots()
    midi_notes = notes.copy()
    midi_notes[:, 0] += offsets[notes[:, 0] // 4] + residual
    first = -64
    midi_roots = np.full(16 * NUM_BARS + 256, NO_ROOT, np.int64)
    for beat in range(ANNOTATED_BEATS):
        start = 4 * beat + offsets[beat] - first
        midi_roots[start : start + 4] = roots[beat]
    return Evidence(
        midi_notes=midi_notes,
        notes=notes,
        midi_roots=midi_roots,
        first_sixteenth=first,
        roots=roots,
        boundaries=frozenset(boundaries),
        num_beats=ANNOTATED_BEATS,
    )


@pytest.mark.parametrize("offset", [0, 4, 16, 92, -20])
def test_one_offset_is_found_exactly(offset):
    found = align(make_evidence(np.full(ANNOTATED_BEATS, offset)))
    assert found.segments == (Segment(0, ANNOTATED_BEATS - 1, offset),)
    assert (found.residual, found.match_near, found.chord_agreement) == (0, 1.0, 1.0)


@pytest.mark.parametrize("residual", [1, -1, 2, -2])
def test_melody_off_the_beat_is_a_residual_and_the_offset_stays_on_the_beat(residual):
    found = align(make_evidence(np.full(ANNOTATED_BEATS, 16), residual=residual))
    assert found.residual == residual
    assert found.segments == (Segment(0, ANNOTATED_BEATS - 1, 16),)
    assert found.match_near == 1.0


@pytest.mark.parametrize("jump", [8, 16, 4, -8, -4])
def test_a_jump_is_found_at_its_barline(jump):
    offsets = np.where(np.arange(ANNOTATED_BEATS) < 40, 8, 8 + jump)
    found = align(make_evidence(offsets, boundaries=(0, 40)))
    assert found.segments == (Segment(0, 39, 8), Segment(40, ANNOTATED_BEATS - 1, 8 + jump))
    assert found.match_near == 1.0


def test_alternating_jumps():
    beats = np.arange(ANNOTATED_BEATS)
    offsets = np.where((beats // 24) % 2 == 0, 92, 84)
    found = align(make_evidence(offsets, boundaries=(0, 24, 48, 72)))
    assert [(s.first_beat, s.offset) for s in found.segments] == [
        (0, 92), (24, 84), (48, 92), (72, 84),
    ]  # fmt: skip


def test_a_wrong_note_does_not_open_a_segment():
    evidence = make_evidence(np.full(ANNOTATED_BEATS, 0))
    evidence.midi_notes[50:53, 1] = 30
    found = align(evidence)
    assert len(found.segments) == 1
    assert found.match_near == pytest.approx(1 - 3 / len(evidence.notes))


def test_foreign_melody_matches_nothing():
    evidence = make_evidence(np.zeros(ANNOTATED_BEATS, np.int64))
    evidence.midi_notes[:, 1] = 20
    assert count_votes(evidence) == {}
    assert align(evidence).match_near == 0.0


def test_a_note_one_sixteenth_off_is_near():
    evidence = make_evidence(np.zeros(ANNOTATED_BEATS, np.int64))
    evidence.midi_notes[::10, 0] += 1
    assert align(evidence).match_near == 1.0


def test_forward_jump_drops_what_the_annotation_left_out():
    segments = (Segment(0, 7, 0), Segment(8, 15, 8))
    offsets, dropped = to_grid(segments, np.array([-5, 0, 31, 32, 39, 40, 500]))
    assert dropped.tolist() == [False, False, False, True, True, False, False]
    kept = np.array([-5, 0, 31, 32, 39, 40, 500])[~dropped] - offsets[~dropped]
    # The first segment is open to the left, the last to the right.
    assert kept.tolist() == [-5, 0, 31, 32, 492]


def test_backward_jump_leaves_a_gap_before_the_barline():
    segments = (Segment(0, 7, 8), Segment(8, 15, 0))
    sixteenths = np.array([8, 31, 32, 39, 40])
    offsets, dropped = to_grid(segments, sixteenths)
    assert not dropped.any()
    assert (sixteenths - offsets).tolist() == [0, 23, 32, 39, 40]


def test_one_segment_moves_everything_and_drops_nothing():
    offsets, dropped = to_grid((Segment(0, 99, 16),), np.array([-40, 16, 9999]))
    assert offsets.tolist() == [16, 16, 16]
    assert not dropped.any()
