"""Phrases cut to a model's limit."""

from hypothesis import given, settings
from hypothesis import strategies as st

from phrase_models.score.song import MELODY, PIANO, Note, Phrase, PhraseNote, Song, Track
from phrase_models.tokens.phrase_limit import CutPhrase, song_within_limit, within_limit
from phrase_models.tokens.remiz import encode, remiz_order

CHORD = Phrase(PIANO, tuple(PhraseNote(0, pitch, 12) for pitch in (67, 64, 60)))


def test_the_longest_stay_of_equal_ones_the_earliest_then_the_highest():
    notes = (
        PhraseNote(0, 60, 3), PhraseNote(12, 72, 3), PhraseNote(12, 62, 24), PhraseNote(24, 64, 3),
    )  # fmt: skip
    assert within_limit(Phrase(PIANO, notes), 12) == Phrase(PIANO, notes)  # 1 + 3 + 8 tokens
    assert within_limit(Phrase(PIANO, notes), 11).notes == notes[:3]
    assert within_limit(Phrase(PIANO, notes), 7).notes == (notes[0], notes[2])
    assert within_limit(Phrase(PIANO, notes), 6).notes == (notes[1], notes[2])  # no new onset fits
    assert within_limit(CHORD, 6).notes == CHORD.notes[:2]


note = st.builds(PhraseNote, st.integers(0, 47), st.integers(0, 127), st.integers(1, 127))


@given(st.lists(note, min_size=1, max_size=80, unique_by=lambda n: (n.onset, n.pitch)))
@settings(max_examples=100, deadline=None)
def test_any_phrase_fits_and_is_a_phrase(notes):
    phrase = Phrase(PIANO, tuple(sorted(notes, key=remiz_order)))
    cut = within_limit(phrase, 32)
    assert len(encode(cut)) <= 32
    assert set(cut.notes) <= set(phrase.notes)
    assert list(cut.notes) == sorted(cut.notes, key=remiz_order)
    assert (cut == phrase) == (len(encode(phrase)) <= 32)


def test_a_song_says_which_bars_and_roles_are_cut():
    chord = tuple(Note(48, pitch, 12) for pitch in range(40, 60))
    song = Song("x", 3, (Track(MELODY, (Note(0, 72, 12),)), Track(PIANO, chord)), (), 77.0, 2)
    fitting, cuts = song_within_limit(song, 16)
    assert cuts == (CutPhrase(1, PIANO, 20, 7),)
    assert fitting.tracks[0] == song.tracks[0]
    assert [item.pitch for item in fitting.tracks[1].notes] == list(range(53, 60))
    assert (fitting.num_bars, fitting.tempo_bpm, fitting.key_shift) == (3, 77.0, 2)
    sentence = cuts[0].sentence(16)
    assert "Bar 2, piano: 20 notes are more than" in sentence
    assert "13 are cut, 7 stay" in sentence
    assert song_within_limit(song, 42) == (song, ())
