"""Chords heard in notes: plain triads are found, and what follows what decides the rest."""

import numpy as np

from phrase_models.form.chord_hearing import chords_heard
from phrase_models.score.chords import parse_chords
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track

KNOWN = [np.array(parse_chords("C | F | G | C | Am | F | G | C"))] * 20


def triads(*halves: tuple[int, ...]) -> Song:
    notes = [Note(24 * half, pitch, 24) for half, ps in enumerate(halves) for pitch in sorted(ps)]
    return Song("x", -(-len(halves) // 2), (Track(PIANO, tuple(notes)),))


def test_plain_triads_are_found_half_bar_by_half_bar():
    song = triads((48, 52, 55), (53, 57, 60), (43, 47, 50), (57, 60, 64))
    assert chords_heard(song, KNOWN).tolist() == [list(bar) for bar in parse_chords("C F | G Am")]


def test_what_the_notes_leave_open_is_as_in_the_known_songs():
    song = triads((60,), (60,))  # of C, F and Am; known songs begin with C
    assert chords_heard(song, KNOWN).tolist() == [[1, 1]]
    minor = [np.array(parse_chords("Am | Am | Am | Am"))] * 20
    assert chords_heard(song, minor).tolist() == [[38, 38]]


def test_a_held_note_counts_in_each_half_bar_that_it_sounds_in():
    long = Song("x", 2, (Track(MELODY, (Note(0, 67, 96), Note(0, 71, 96), Note(0, 74, 96))),))
    assert chords_heard(long, KNOWN).tolist() == [[29, 29], [29, 29]]


def test_a_silent_song_has_chords_of_the_known_songs_and_unknown_ones_are_not_counted():
    silent = Song("x", 2, ())
    heard = chords_heard(silent, [*KNOWN, np.full((4, 2), -1)])
    assert heard.shape == (2, 2)
    assert set(np.unique(heard)) <= {1, 21, 29, 38}
