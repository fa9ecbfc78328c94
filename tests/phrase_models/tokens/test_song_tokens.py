"""All notes of a song at once give what phrase by phrase does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrase_models.score.song import Note, Song, Track
from phrase_models.tokens.remiz import encode, to_text
from phrase_models.tokens.song_layout import song_to_bars
from phrase_models.tokens.song_tokens import encode_song
from phrase_models.tokens.vocabulary import END_OF_BAR

NOTES = st.builds(Note, st.integers(0, 143), st.integers(0, 127) | st.just(60), st.integers(1, 130))


@st.composite
def songs(draw: st.DrawFn) -> Song:
    programs = draw(st.lists(st.sampled_from((0, 13, 25, 40, 41, 128)), max_size=4))
    tracks = tuple(
        Track(program, tuple(sorted(draw(st.lists(NOTES, max_size=12))))) for program in programs
    )
    return Song("song", draw(st.integers(3, 4)), tracks)


@given(songs())
@settings(max_examples=300, deadline=None)
def test_tokens_are_those_of_the_phrases_one_by_one(song):
    tokens = encode_song(song)
    bars = song_to_bars(song)
    phrases = [(number, phrase) for number, bar in enumerate(bars) for phrase in bar]
    expected = []
    for bar in bars:
        for phrase in bar:
            expected += encode(phrase)
        expected.append(END_OF_BAR)
    assert tokens.ids.tolist() == expected
    assert tokens.bars.tolist() == [bar for bar, _ in phrases]
    assert tokens.programs.tolist() == [phrase.program for _, phrase in phrases]
    assert tokens.num_notes.tolist() == [len(phrase.notes) for _, phrase in phrases]
    assert tokens.mean_pitches.tolist() == [phrase.mean_pitch for _, phrase in phrases]
    spans = zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)
    assert [expected[start:end] for start, end in spans] == [encode(p) for _, p in phrases]


def test_tokens_in_full():
    song = Song("x", 2, (Track(40, (Note(3, 60, 5), Note(3, 64, 6))), Track(13, (Note(0, 72, 9),))))
    text = "i-13 o-0 p-72 d-9 i-40 o-3 p-64 d-6 p-60 d-5 b-1 b-1"
    assert to_text(encode_song(song).ids.tolist()) == text
    assert encode_song(Song("silent", 0, ())).ids.tolist() == []


def test_a_note_outside_the_bars_is_refused():
    for onset in (96, -1):
        with pytest.raises(ValueError, match="song 'x' of 2 bars has notes in"):
            encode_song(Song("x", 2, (Track(0, (Note(onset, 60, 5),)),)))
