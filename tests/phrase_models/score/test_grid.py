"""Time: tempo maps, the beat phase, rounding; and what happens to colliding notes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrase_models.score.grid import (
    TempoMap,
    beat_phase,
    clean_track,
    grid_notes,
    off_grid_fraction,
    quantise,
)
from phrase_models.score.song import Note


def test_seconds_to_ticks_goes_through_every_tempo_change():
    # 60 bpm for one beat (1 s), 120 bpm for two (1 s), then 30 bpm.
    tempo = TempoMap.build([(0, 60.0), (480, 120.0), (1440, 30.0)], 480)
    seconds = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 4.0])
    assert tempo.to_ticks(seconds).tolist() == [0.0, 240.0, 480.0, 960.0, 1440.0, 1920.0]


def test_tempo_before_the_first_event_is_120():
    assert TempoMap.build([(960, 60.0)], 480).to_ticks(np.array([1.0, 2.0])).tolist() == [960, 1440]
    assert TempoMap.build([], 480).to_ticks(np.array([0.5])).tolist() == [480]


def test_median_tempo_is_weighted_by_ticks():
    tempo = TempoMap.build([(0, 120.0), (480, 79.0), (9600, 200.0)], 480)
    assert tempo.median_bpm(10_000) == 79.0


@pytest.mark.parametrize("phase", [0.0, 39.84, 240.0, 478.5])
def test_phase_is_the_circular_mean(phase):
    # Jitter around the phase crosses 0 where the phase is close to it.
    ticks = phase + 480 * np.arange(100) + np.tile([-2.0, 2.0], 50)
    distance = abs(beat_phase(ticks, 480) - phase)
    assert min(distance, 480 - distance) < 1e-6


def test_rounding_is_half_to_even():
    assert quantise(np.array([-0.5, 0.5, 1.5, 2.5, 2.51])).tolist() == [0, 0, 2, 2, 3]


def test_off_grid_is_more_than_a_quarter_of_a_sixteenth():
    assert off_grid_fraction(np.array([0.0, 1.25, 2.26, 3.74, 4.5])) == 3 / 5
    assert off_grid_fraction(np.array([])) == 0.0


@pytest.mark.parametrize(
    ("start", "end", "steps", "duration"),
    [
        (4, 4, 3, 3),  # rounded away: one 16th
        (4, 4, 1, 1),
        (4, 5, 3, 3),
        (0, 42, 3, 126),
        (0, 43, 3, 127),  # the only duration on the 16th grid that is no multiple of 3
        (0, 900, 3, 127),
        (0, 47, 1, 47),
    ],
)
def test_shortest_and_longest_duration(start, end, steps, duration):
    (note,) = grid_notes(
        np.array([start]), np.array([end]), np.array([60]), np.array([80]), steps=steps
    )
    assert note == Note(start * steps, 60, duration, 80)


def test_of_colliding_notes_the_longest_stays():
    notes = [Note(0, 60, 3, 50), Note(0, 60, 12, 90), Note(0, 60, 6, 70), Note(0, 64, 3, 40)]
    assert clean_track(notes) == (Note(0, 60, 12, 90), Note(0, 64, 3, 40))


def test_a_note_ends_where_its_pitch_is_struck_again():
    notes = [Note(0, 60, 48), Note(12, 64, 48), Note(24, 60, 6), Note(30, 60, 9)]
    assert clean_track(notes) == (
        Note(0, 60, 24), Note(12, 64, 48), Note(24, 60, 6), Note(30, 60, 9),
    )  # fmt: skip


def test_cleaning_is_idempotent_and_leaves_no_overlap():
    generator = np.random.default_rng(0)
    rows = generator.integers((0, 60, 1), (200, 64, 60), (400, 3)).tolist()
    cleaned = clean_track(Note(*row) for row in rows)
    assert clean_track(cleaned) == cleaned
    assert list(cleaned) == sorted(cleaned)
    for pitch in range(60, 64):
        own = [note for note in cleaned if note.pitch == pitch]
        assert all(a.onset + a.duration <= b.onset for a, b in pairwise(own))


def cleaned_one_by_one(notes: list[Note]) -> tuple[Note, ...]:
    """The rule of `clean_notes`, note by note."""
    longest: dict[tuple[int, int], Note] = {}
    for note in notes:
        place = (note.onset, note.pitch)
        if place not in longest or note.duration > longest[place].duration:
            longest[place] = note
    cleaned = []
    for (onset, pitch), note in sorted(longest.items()):
        later = [start for start, other in longest if other == pitch and start > onset]
        room = min(later, default=onset + 127) - onset
        cleaned.append(Note(onset, pitch, min(note.duration, room, 127), note.velocity))
    return tuple(cleaned)


@given(
    st.lists(
        st.builds(
            Note, st.integers(0, 9), st.integers(60, 62), st.integers(1, 130), st.integers(1, 127)
        ),
        max_size=20,
    )
)
def test_notes_are_cleaned_all_at_once_as_one_by_one(notes):
    assert clean_track(notes) == cleaned_one_by_one(notes)
