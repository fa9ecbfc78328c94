"""Chord ids: the 49 of them, names, text, transposition, half bars out of beats."""

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.score.chords import (
    DIMINISHED,
    MAJOR,
    MINOR,
    NO_CHORD,
    NUM_CHORDS,
    OTHER,
    UNKNOWN_CHORD,
    chord_array,
    chord_id,
    chord_name,
    chord_parts,
    chord_text,
    chords_of_beats,
    parse_chord_name,
    parse_chords,
    transpose_chord,
    transpose_chords,
)

C, AM, BDIM, GSUS, F = 1, 38, 47, 32, 21


def test_every_chord_has_one_id_and_one_name():
    ids = [chord_id(root, quality) for root in range(12) for quality in range(4)]
    assert [NO_CHORD, *ids] == list(range(NUM_CHORDS)) == list(range(49))
    assert [chord_parts(chord) for chord in (C, AM, BDIM, GSUS)] == [
        (0, MAJOR), (9, MINOR), (11, DIMINISHED), (7, OTHER),
    ]  # fmt: skip
    names = [chord_name(chord) for chord in range(NUM_CHORDS)]
    assert [names[chord] for chord in (NO_CHORD, C, AM, BDIM, GSUS)] == [
        "N", "C", "Am", "Bdim", "Gsus",
    ]  # fmt: skip
    assert len(set(names)) == NUM_CHORDS
    assert [parse_chord_name(name) for name in names] == list(range(NUM_CHORDS))


@pytest.mark.parametrize(
    ("name", "same"),
    [("C7", "C"), ("CM7", "C"), ("Cmaj7/E", "C"), ("C:maj(9)/3", "C"), ("C#m7", "Dbm"),
     ("A:min7/b3", "Am"), ("Amin", "Am"), ("A:minmaj7", "Am"), ("B:hdim7", "Bdim"),
     ("Gsus4", "Gsus"), ("G:sus4(b7)", "Gsus"), ("Gaug", "Gsus"), ("Bb", "A#"), ("X", "N")],
)  # fmt: skip
def test_the_triad_decides_and_spelling_does_not(name, same):
    assert parse_chord_name(name) == parse_chord_name(same)


@pytest.mark.parametrize("name", ["H", "c", "", "Cfoo", "C G", "/C"])
def test_what_is_no_chord_is_refused(name):
    with pytest.raises(ConfigurationError, match=r"is no chord; write C, Am"):
        parse_chord_name(name)


def test_numbers_beyond_the_ids_are_refused():
    for number in (-1, 49):
        with pytest.raises(ValueError, match="is no chord: ids are 0 to 48"):
            chord_name(number)
    for root, quality in ((12, 0), (0, 4), (-1, 0)):
        with pytest.raises(ValueError, match="no chord of root"):
            chord_id(root, quality)


def test_text_there_and_back():
    chords = ((C, GSUS), (AM, AM), (NO_CHORD, F))
    assert chord_text(chords) == "C Gsus | Am | N F"
    assert parse_chords("C Gsus | Am | N F") == chords
    assert parse_chords("|C Gsus|Am Am|N F|") == chords
    assert chord_text(np.array(chords)) == chord_text(chords)


def test_a_chord_may_be_left_open_where_chords_are_asked_for():
    chords = ((C, UNKNOWN_CHORD), (UNKNOWN_CHORD, UNKNOWN_CHORD))
    assert chord_text(chords) == "C ? | ?"
    assert parse_chords("C ? | ?") == chords
    with pytest.raises(ConfigurationError, match=r"is no chord"):
        parse_chord_name("?")  # in an annotation it is none
    assert transpose_chords(np.array(chords), 3).tolist() == [[13, -1], [-1, -1]]


@pytest.mark.parametrize(("text", "bar"), [("C G F", 1), ("C | | F", 2), ("", 1)])
def test_a_bar_has_one_chord_or_two(text, bar):
    with pytest.raises(ConfigurationError, match=f"Bar {bar} of the chords"):
        parse_chords(text)


def test_transposing_moves_roots_and_nothing_else():
    assert [transpose_chord(chord, 3) for chord in (NO_CHORD, C, AM)] == [
        NO_CHORD, parse_chord_name("Eb"), parse_chord_name("Cm"),
    ]  # fmt: skip
    ids = np.arange(NUM_CHORDS).reshape(7, 7)
    for semitones in range(-13, 14):
        moved = transpose_chords(ids, semitones)
        assert moved.ravel().tolist() == [transpose_chord(i, semitones) for i in range(NUM_CHORDS)]
        assert (transpose_chords(moved, -semitones) == ids).all()


def test_half_bars_are_beats_one_and_three():
    beats = [C, AM, GSUS, F, F, F]
    assert chords_of_beats(beats, 3) == ((C, GSUS), (F, NO_CHORD), (NO_CHORD, NO_CHORD))
    assert chords_of_beats(beats, 1) == ((C, GSUS),)


def test_an_array_has_all_bars_of_the_song():
    assert chord_array(((C, F),), 3).tolist() == [[C, F], [NO_CHORD] * 2, [NO_CHORD] * 2]
    assert chord_array((), 2).tolist() == [[NO_CHORD] * 2] * 2
    assert chord_array(((C, F), (F, C)), 1).tolist() == [[C, F]]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Dm7b5", "Ddim"),
        ("Bø", "Bdim"),
        ("C-7b5", "Cdim"),
        ("C7sus4", "Csus"),
        ("C9sus4", "Csus"),
        ("C7#5", "Csus"),
        ("Caug", "Csus"),
        ("Cadd9", "C"),
        ("Cmaj7", "C"),
        ("C-7", "Cm"),
        ("A-", "Am"),
        ("Cmmaj7", "Cm"),
        ("A:hdim7", "Adim"),
        ("G:sus4(b7)", "Gsus"),
    ],
)
def test_what_follows_the_third_of_a_chord_decides_too(written, read):
    assert parse_chord_name(written) == parse_chord_name(read)
