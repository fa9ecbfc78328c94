"""Pickups, set-up bars, and beats that lie off the grid."""

from pathlib import Path

import numpy as np
import pytest

from phrase_models.errors import BadMidiError
from phrase_models.score.bar_alignment import grid_phase, opening_shift
from phrase_models.score.midi_file import MidiFile

PATH = Path("x.mid")
LAST = 9600


def file(*meters: tuple[int, int, int]) -> MidiFile:
    return MidiFile(480, (), meters=meters)


@pytest.mark.parametrize(
    ("meters", "first_onset", "shift", "words"),
    [
        ((), 0, 0, ""),
        (((0, 4, 4), (1920, 4, 4)), 0, 0, ""),
        (((0, 1, 4), (480, 4, 4)), 0, 1440, "pickup bar of 1/4 is padded to a whole bar by 3 "),
        (((0, 3, 8), (720, 4, 4)), 500, 1200, "pickup bar of 3/8 is padded to a whole bar by 2.5"),
        (((0, 1, 8), (240, 4, 4)), 240, -240, "set-up bar of 1/8 has no notes and is skipped"),
        (((0, 4, 4), (0, 1, 8), (240, 4, 4)), 300, -240, "set-up bar of 1/8"),  # the last counts
        (((0, 4, 4), (LAST, 3, 4)), 0, 0, ""),  # after the music
        (((0, 4, 4), (0, 1, 4)), 0, 0, "The meter is 1/4 throughout"),
    ],
)
def test_where_the_first_bar_begins(meters, first_onset, shift, words):
    found, sentence = opening_shift(file(*meters), first_onset, LAST, PATH)
    assert found == shift
    assert words in sentence
    assert bool(words) == bool(sentence)


@pytest.mark.parametrize(
    ("meters", "words"),
    [
        (((0, 3, 4),), "3/4 from bar 1 (tick 0)"),
        (((0, 3, 4), (480, 3, 4)), "3/4 from bar 1"),
        (((0, 3, 4), (2880, 4, 4)), "3/4 from bar 1"),  # longer than a bar: no pickup
        (((0, 1, 16), (120, 7, 16)), "1/16 from bar 1"),
        (((1920, 2, 2),), "2/2 from bar 2 (tick 1920)"),
        (((0, 1, 8), (240, 4, 4), (4080, 5, 4)), "5/4 from bar 3 (tick 4080)"),
    ],
)
def test_other_meters_are_refused_with_bar(meters, words):
    with pytest.raises(BadMidiError) as caught:
        opening_shift(file(*meters), 240, LAST, PATH)
    assert words in str(caught.value)


def test_a_constant_delay_is_found_and_playing_freely_is_none():
    grid = 120 * np.arange(64)
    assert grid_phase(grid + 47, 120.0) == pytest.approx(47)
    assert grid_phase(grid - 30, 120.0) == pytest.approx(-30)
    jitter = np.random.default_rng(0).integers(-4, 5, 64)
    assert grid_phase(grid + 47 + jitter, 120.0) == pytest.approx(47, abs=1.5)
    assert grid_phase(grid + jitter, 120.0) == 0.0
    swung = np.concatenate((480 * np.arange(32), 480 * np.arange(32) + 320))
    assert grid_phase(swung, 120.0) == 0.0
    anywhere = np.random.default_rng(1).integers(0, 9600, 200)
    assert grid_phase(anywhere, 120.0) == 0.0
