"""What one latent stands for: phrases, bars, positions."""

from phrase_models.tokens.remiz import from_text
from phrase_models.tokens.units import decode_unit, split_bar, transpose_unit

MELODY = from_text("i-13 o-0 p-72 d-6 o-12 p-74 d-6")
PIANO = from_text("i-0 o-0 p-60 d-12 p-52 d-12 o-24 p-48 d-24")


def test_units_of_a_bar_by_granularity():
    assert split_bar([MELODY, PIANO], "phrase") == [MELODY, PIANO]
    assert split_bar([MELODY, PIANO], "bar") == [MELODY + PIANO]
    assert split_bar([MELODY, PIANO], "position") == [
        from_text("i-13 o-0 p-72 d-6 i-0 o-0 p-60 d-12 p-52 d-12"),
        from_text("i-13 o-12 p-74 d-6"),
        from_text("i-0 o-24 p-48 d-24"),
    ]


def test_an_empty_bar_has_no_units():
    assert [split_bar([], kind) for kind in ("phrase", "bar", "position")] == [[], [], []]


def test_units_decode_to_the_phrases_they_were_made_of():
    melody, piano = decode_unit(MELODY)[0], decode_unit(PIANO)[0]
    assert (melody.program, piano.program) == (13, 0)
    assert decode_unit(MELODY + PIANO) == [melody, piano]
    at_positions = [
        (phrase.program, note)
        for unit in split_bar([MELODY, PIANO], "position")
        for phrase in decode_unit(unit)
        for note in phrase.notes
    ]
    whole = [(phrase.program, note) for phrase in (melody, piano) for note in phrase.notes]
    assert sorted(at_positions, key=repr) == sorted(whole, key=repr)


def test_transposing_moves_pitches_alone_and_only_where_all_fit():
    assert transpose_unit(MELODY, -7) == from_text("i-13 o-0 p-65 d-6 o-12 p-67 d-6")
    assert transpose_unit(transpose_unit(PIANO, 5), -5) == PIANO
    assert transpose_unit(MELODY, 54) == MELODY  # 74 + 54 is no pitch
    assert transpose_unit(from_text("b-1"), 3) == from_text("b-1")


def test_special_phrases_and_nonsense_give_no_phrase():
    assert decode_unit(from_text("b-1")) == []
    assert decode_unit(from_text("i-13 o-0")) == []
    assert decode_unit([]) == []
