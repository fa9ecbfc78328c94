"""Texts of tokens as people have them."""

import pytest

from phrase_models.errors import UserError
from phrase_models.score.song import Note
from phrase_models.tokens.token_text import read_token_text


def test_meter_and_tempo_words_of_the_reference_library_are_read():
    read = read_token_text("s-9 t-26 i-0 o-0 p-60 d-12 o-12 p-64 d-12 b-1 s-9 t-24 b-1")
    assert read.song.tracks[0].notes == (Note(0, 60, 12), Note(12, 64, 12))
    assert read.song.tempo_bpm == 71.84  # 16 * 2 ** (26 / 12)
    assert read.said == ("All is at the first tempo, 71.84; t- words of another are dropped: 1.",)
    assert read_token_text("t-24 b-1").song.tempo_bpm == 64.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("s-8 i-0 o-0 p-60 d-12 b-1", "Word 1 of the tokens, 's-8', is a meter other than s-9"),
        ("s-9 t-26 i-0 o-0 q-60 d-12 b-1", "Word 5 of the tokens, 'q-60', is no REMI-z token"),
        ("s-9 i-0 o-0 p-60 d-12", "do not end in b-1"),
    ],
)
def test_a_word_is_named_with_its_place(text, complaint):
    with pytest.raises(UserError) as caught:
        read_token_text(text)
    assert complaint in str(caught.value)


def test_a_note_cut_at_the_next_of_its_pitch_is_said():
    read = read_token_text("i-0 o-36 p-60 d-127 b-1 i-0 o-0 p-60 d-12 b-1")
    assert read.song.tracks[0].notes == (Note(36, 60, 12), Note(48, 60, 12))
    assert read.said == (
        "Notes that still sound when their pitch is struck again, and end there: 1, in bar 1.",
    )
    assert read_token_text("i-0 o-36 p-60 d-127 b-1 i-0 o-0 p-62 d-12 b-1").said == ()
