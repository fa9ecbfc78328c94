"""Strategies for phrases and songs."""

import pytest
from hypothesis import strategies as st

from phrase_models.score.grid import clean_track
from phrase_models.score.song import (
    MAX_DURATION,
    ROLE_PROGRAMS,
    STEPS_PER_BAR,
    Note,
    Phrase,
    PhraseNote,
    Song,
    Track,
)
from phrase_models.tokens.remiz import tidy_notes


def phrases() -> st.SearchStrategy[Phrase]:
    note = st.builds(
        PhraseNote,
        st.integers(0, STEPS_PER_BAR - 1),
        st.integers(0, 127),
        st.integers(1, MAX_DURATION),
    )
    return st.builds(
        lambda program, notes: Phrase(program, tidy_notes(notes)),
        st.sampled_from((*ROLE_PROGRAMS, 128)),
        st.lists(note, min_size=1, max_size=12),
    )


@st.composite
def songs(draw: st.DrawFn) -> Song:
    num_bars = draw(st.integers(1, 5))
    note = st.builds(
        Note,
        st.integers(0, num_bars * STEPS_PER_BAR - 1),
        st.integers(58, 66),  # few pitches, so that notes overlap and mean pitches tie
        st.integers(1, MAX_DURATION),
    )
    tracks = []
    for program in ROLE_PROGRAMS:
        notes = clean_track(draw(st.lists(note, max_size=12)))
        if notes:
            tracks.append(Track(program, notes))
    return Song("song", num_bars, tuple(tracks))


@pytest.fixture(scope="session")
def phrase_strategy():
    return phrases()


@pytest.fixture(scope="session")
def song_strategy():
    return songs()
