"""Scores of fillings and variations, by hand."""

import math
from dataclasses import replace

import pytest

from phrase_models.metrics.song_tasks import (
    chord_agreement,
    density_error,
    distance,
    kept_share,
    note_f1,
    score_filling,
    without,
)
from phrase_models.score.chords import parse_chords
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track

NOTHING = Song("s", 2, ())
MELODY_TRACK = Track(MELODY, (Note(0, 72, 12), Note(12, 74, 12)))
ORIGINAL = Song(
    "s",
    2,
    (MELODY_TRACK, Track(PIANO, (Note(0, 60, 24), Note(0, 64, 24), Note(48, 65, 24)))),
    chords=parse_chords("C G | F ?".replace("?", "N")),
)
GIVEN = replace(ORIGINAL, tracks=(MELODY_TRACK,))
FILLED = replace(
    ORIGINAL,
    tracks=(
        MELODY_TRACK,
        # C over C; C sharp over C; G over C for 12 steps and over G for 6; A over F.
        Track(PIANO, (Note(0, 60, 12), Note(0, 61, 12), Note(12, 67, 18), Note(48, 69, 24))),
    ),
)


def test_a_filling_is_scored_by_the_notes_of_the_hole_alone():
    scores = score_filling(ORIGINAL, GIVEN, FILLED)
    assert scores.note_f1 == 2 * 1 / (3 + 4)
    assert scores.in_scale_rate == 3 / 4
    assert scores.chord_agreement == (12 + 0 + 18 + 24) / (12 + 12 + 18 + 24)
    assert scores.density_error == 1 / 3
    assert scores.kept_share == 1


def test_the_song_itself_is_a_perfect_filling():
    scores = score_filling(ORIGINAL, GIVEN, ORIGINAL)
    assert (scores.note_f1, scores.density_error, scores.kept_share) == (1, 0, 1)
    assert scores.chord_agreement == 1


def test_agreement_counts_time_under_known_triads_only():
    chords = parse_chords("Am Gsus | N Bdim")
    track = Track(PIANO, (Note(0, 57, 48), Note(72, 59, 24), Note(72, 60, 8)))
    # A over Am for 24, then over Gsus, which is no triad; B over Bdim 24; C over Bdim 8 is none.
    assert chord_agreement(Song("s", 2, (track,)), chords) == (24 + 24) / (24 + 24 + 8)
    assert chord_agreement(Song("s", 2, (track,)), parse_chords("Am Gsus")) == 1
    assert math.isnan(chord_agreement(Song("s", 2, (track,)), ()))


def test_the_distance_of_songs():
    assert distance(ORIGINAL, ORIGINAL) == 0
    assert distance(ORIGINAL, NOTHING) == 1
    assert distance(ORIGINAL, GIVEN) == pytest.approx(1 - 2 * 2 / (5 + 2))
    swapped = replace(ORIGINAL, tracks=(Track(PIANO, MELODY_TRACK.notes),))
    assert note_f1(GIVEN, swapped) == 0  # the same notes of another role
    assert math.isnan(distance(NOTHING, NOTHING))


def test_what_was_given_counts_as_kept_only_if_nothing_of_it_changed():
    assert kept_share(GIVEN, FILLED) == 1
    longer = Track(MELODY, (Note(0, 72, 13), Note(12, 74, 12)))
    assert kept_share(GIVEN, replace(FILLED, tracks=(longer,))) == 0.5
    assert math.isnan(kept_share(NOTHING, FILLED))


def test_notes_are_taken_away_once_each():
    doubled = replace(NOTHING, tracks=(Track(PIANO, (Note(0, 60, 3), Note(0, 60, 12))),))
    single = replace(NOTHING, tracks=(Track(PIANO, (Note(0, 60, 12),)),))
    assert without(doubled, single).num_notes == 1
    assert without(single, doubled).num_notes == 0


def test_density_needs_notes_to_compare_with():
    assert density_error(GIVEN, NOTHING) == 1
    assert math.isnan(density_error(NOTHING, GIVEN))
