"""Baselines made of training songs, against counts and songs worked out by hand."""

from collections import Counter

import numpy as np
import pytest

from phrase_models.baselines.bar_shuffle import BarShuffle
from phrase_models.baselines.phrase_markov import SONG_START, PhraseChain, PhraseMarkov
from phrase_models.baselines.song_choice import first_bars, fitting_songs
from phrase_models.baselines.training_copies import TrainingCopies
from phrase_models.errors import ConfigurationError
from phrase_models.generator import SongRequest, request_from_layout
from phrase_models.score.song import STEPS_PER_BAR
from phrase_models.tokens.song_layout import song_to_bars

A, B, C = (1,), (2,), (3,)


def pitches(song):
    return [note.pitch for track in song.tracks for note in track.notes]


# --------------------------------------------------------------------------- which song
@pytest.fixture
def songs(written_song):
    return [
        written_song(60, 62, 64, layout="A2 B1", song_id="one"),
        written_song(65, 67, 69, layout="i1 A2", song_id="two"),
        written_song(70, 71, 72, 73, 74, layout="A3 o2", song_id="three"),
        written_song(50, 51, 52, song_id="unlabelled"),
    ]


@pytest.mark.parametrize(
    ("layout", "num_bars", "expected"),
    [
        (None, None, ["one", "two", "three"]),
        ("i1 A2", None, ["two"]),
        ("B3", None, ["one", "two"]),
        (None, 5, ["three"]),
        (None, 4, ["three"]),
    ],
    ids=["anything", "sections", "other sections of the length", "length", "longer, to be cut"],
)
def test_songs_that_meet_a_request_best(songs, layout, num_bars, expected):
    found = fitting_songs(songs, request_from_layout(layout, num_bars))
    assert [song.song_id for song in found] == expected


def test_unlabelled_songs_count_where_there_are_no_others(songs):
    assert fitting_songs(songs[3:], SongRequest(3)) == songs[3:]
    with pytest.raises(ConfigurationError, match="no training songs"):
        fitting_songs([], SongRequest())
    with pytest.raises(ConfigurationError, match="has 5; ask for fewer"):
        fitting_songs(songs, SongRequest(6))


def test_the_beginning_of_a_song(songs):
    cut = first_bars(songs[2], 4)
    assert cut.num_bars == 4
    assert pitches(cut) == [70, 71, 72, 73]
    assert [(part.label, part.num_bars) for part in cut.sections] == [("A", 3), ("o", 1)]
    assert first_bars(songs[2], 3).sections == songs[2].sections[:1]


# --------------------------------------------------------------------------- copies
def test_copies_are_training_songs_note_for_note(songs):
    copies = TrainingCopies(songs, "f" * 64)
    by_pitch = {tuple(pitches(song)): song for song in songs[:3]}
    seen = set()
    for index in range(30):
        made = copies.generate(SongRequest(tempo_bpm=77.0), 1, index)
        source = by_pitch[tuple(pitches(made.song))]
        assert made.song.tracks == source.tracks
        assert made.song.sections == made.request.sections == source.sections
        assert made.song.tempo_bpm == 77.0
        assert f"training song {source.song_id} of ffffffffffff" in made.provenance
        seen.add(source.song_id)
    assert seen == {"one", "two", "three"}


def test_copies_say_where_they_do_not_follow_the_sections(songs):
    copies = TrainingCopies(songs, "f" * 64)
    followed = copies.generate(request_from_layout("A2 B1"), 1, 0)
    assert "other sections" not in followed.provenance
    other = copies.generate(request_from_layout("x4"), 1, 0)
    assert other.provenance.endswith("with other sections than asked for")
    assert other.request.section_layout == "x4"
    assert pitches(other.song) == [70, 71, 72, 73]


# --------------------------------------------------------------------------- shuffled bars
def test_shuffled_bars_are_those_of_one_song_in_another_order(toy_corpus):
    copies = TrainingCopies(toy_corpus.songs, "f" * 64)
    shuffled = BarShuffle(toy_corpus.songs, "f" * 64)
    moved = 0
    for index in range(4):
        source = song_to_bars(copies.generate(SongRequest(), 2, index).song)
        made = song_to_bars(shuffled.generate(SongRequest(), 2, index).song)
        onsets = [_content(bar) for bar in source], [_content(bar) for bar in made]
        assert Counter(onsets[0]) == Counter(onsets[1])
        moved += onsets[0] != onsets[1]
    assert moved == 4


def _content(bar):
    """Programs, onsets and pitches; a duration may be cut by the bar that now follows."""
    return tuple(
        (phrase.program, tuple((note.onset, note.pitch) for note in phrase.notes)) for phrase in bar
    )


# --------------------------------------------------------------------------- Markov chain
def test_probabilities_after_a_phrase_are_those_of_witten_and_bell():
    chain = PhraseChain([[A, B, A, B], [A, C]])
    # A was followed 3 times by 2 phrases (B twice, C once): 2/5 goes to A 3/6, B 2/6, C 1/6.
    assert chain.back_off(A) == pytest.approx(2 / 5)
    assert chain.probability(A, A) == pytest.approx(2 / 5 * 3 / 6)
    assert chain.probability(A, B) == pytest.approx(3 / 5 * 2 / 3 + 2 / 5 * 2 / 6)
    assert chain.probability(A, C) == pytest.approx(3 / 5 * 1 / 3 + 2 / 5 * 1 / 6)
    assert chain.probability(SONG_START, A) == pytest.approx(2 / 3 + 1 / 3 * 3 / 6)
    assert chain.back_off(C) == 1.0  # nothing ever followed it
    assert chain.probability(C, B) == pytest.approx(2 / 6)
    for phrase in (SONG_START, A, B, C):
        assert sum(chain.probability(phrase, other) for other in (A, B, C)) == pytest.approx(1)


def test_draws_follow_the_probabilities():
    chain = PhraseChain([[A, B, A, B], [A, C]])
    rng = np.random.default_rng(0)
    drawn = Counter(chain.draw(A, rng) for _ in range(4000))
    for phrase in (A, B, C):
        assert drawn[phrase] / 4000 == pytest.approx(chain.probability(A, phrase), abs=0.03)


def test_the_chain_keeps_to_phrases_of_its_slot_and_to_the_length(toy_corpus):
    known = [set(), set(), set()]
    roles = {13: 0, 25: 1, 0: 2}
    for song in toy_corpus.songs:
        for bar in song_to_bars(song):
            for phrase in bar:
                known[roles[phrase.program]].add(_content([phrase]))
    markov = PhraseMarkov(toy_corpus.songs, "f" * 64)
    originals = {song.tracks for song in toy_corpus.songs}
    for index in range(4):
        made = markov.generate(SongRequest(9), 0, index)
        assert made.song.num_bars == 9
        assert made.num_repairs == 0
        assert made.song.tracks not in originals
        for bar in song_to_bars(made.song):
            for phrase in bar:
                assert _content([phrase]) in known[roles[phrase.program]]
        assert max(note.onset for t in made.song.tracks for note in t.notes) < 9 * STEPS_PER_BAR
