"""The key rule, and transposing there and back."""

import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.score.chords import parse_chords
from phrase_models.score.song import BRIDGE, MELODY, Note, Song, Track
from phrase_models.score.transforms import (
    choose_key,
    in_scale_share,
    key_of_notes,
    shift_to_c,
    transpose,
)


def make_track(*pitches: int, program: int = MELODY, duration: int = 12) -> Track:
    notes = (Note(12 * index, pitch, duration) for index, pitch in enumerate(pitches))
    return Track(program, tuple(notes))


def test_shifts_of_all_twelve_keys():
    expected = [0, -1, -2, -3, -4, -5, -6, 5, 4, 3, 2, 1]  # the tritone goes down
    assert [shift_to_c(major) for major in range(12)] == expected
    assert all((major + shift_to_c(major)) % 12 == 0 for major in range(12))


def test_in_scale_share_is_weighted_by_duration_over_all_tracks():
    tracks = (make_track(60, 61), make_track(62, program=BRIDGE, duration=24))
    assert in_scale_share(tracks, 0) == 36 / 48
    assert in_scale_share((), 0) == 0.0


def test_the_annotated_key_that_fits_best_is_taken_the_first_of_equals():
    tracks = [make_track(67, 69, 71, 72, 74, 76, 78, 66)]
    assert choose_key(tracks, [0, 7]) == (7, 1.0)
    tracks = [make_track(67, 69, 71, 72, 74, 76)]  # no F: C and G major fit alike
    assert choose_key(tracks, [7, 0])[0] == 7
    assert choose_key(tracks, [0, 7])[0] == 0


@pytest.mark.parametrize("semitones", range(-6, 6))
def test_undoing_the_shift_gives_the_song_back(semitones):
    song = Song("001", 4, (make_track(60, 64, 67), make_track(45, program=BRIDGE)))
    moved = transpose(song, semitones)
    assert moved.key_shift == semitones
    assert [note.pitch for note in moved.tracks[0].notes] == [
        60 + semitones, 64 + semitones, 67 + semitones,
    ]  # fmt: skip
    assert transpose(moved, -semitones) == song


def test_chords_move_with_the_notes():
    song = Song("001", 2, (make_track(60),), chords=parse_chords("C Am | N F"))
    moved = transpose(song, 5)
    assert moved.chords == parse_chords("F Dm | N Bb")
    assert transpose(Song("001", 2, ()), 5).chords == ()


def test_a_pitch_beyond_midi_is_refused():
    with pytest.raises(ConfigurationError, match=r"pitch 126 out of 0\.\.127"):
        transpose(Song("001", 1, (make_track(126),)), 5)


def test_a_song_that_is_only_looked_at_keeps_such_a_pitch_an_octave_nearer():
    song = Song("001", 4, (make_track(0, 5, 6, 120, 127),))
    low, high = (transpose(song, semitones, fold=True).tracks[0].notes for semitones in (-6, 5))
    assert [note.pitch for note in low] == [6, 11, 0, 114, 121]
    assert [note.pitch for note in high] == [5, 10, 11, 125, 120]


def test_a_key_signature_is_doubted_only_where_another_key_fits_clearly_better():
    pentatonic = (make_track(60, 62, 64, 67, 69),)  # of C, F and G
    for signature in (0, 5, 7):
        assert key_of_notes(pentatonic, signature) == (signature, 1.0)
    f_major = (make_track(65, 67, 69, 70, 72, 74, 76),)
    assert key_of_notes(f_major, 5) == (5, 1.0)
    assert key_of_notes(f_major, 0) == (5, 1.0)  # B flat is a seventh of the time
    rarely = (make_track(*[60] * 24, 70),)
    assert key_of_notes(rarely, 0) == (0, 24 / 25)
