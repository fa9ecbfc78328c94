"""The prior of chords, on made-up songs."""

import json
import math

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.chord_prior import NUM_CHORDS, ChordPrior, ChordsFile
from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm
from phrase_models.score.song import parse_section_layout

LOOP = [1, 1, 30, 30, 21, 21, 37, 5]  # four bars
LAYOUT = parse_section_layout("i4 A8 A8 o2")


def free_form(num_bars):
    states = np.full((num_bars, 3), CellState.NEW)
    return SongForm(states, np.full(states.shape, NO_SOURCE))


def song(seed):
    """A loop of four bars, sometimes changed, in all sections."""
    rng = np.random.default_rng(seed)
    chords = np.array((LOOP * 6)[:44]).reshape(-1, 2)
    changed = rng.random(chords.shape) < 0.05
    return np.where(changed, rng.integers(1, NUM_CHORDS, chords.shape), chords)


@pytest.fixture(scope="module")
def prior():
    return ChordPrior.fit([(LAYOUT, free_form(22), song(seed)) for seed in range(8)])


def test_one_bar_sums_to_one(prior):
    layout, form = parse_section_layout("i1"), free_form(1)
    scores = [
        prior.log_likelihood(layout, form, [[a, b]])
        for a in range(NUM_CHORDS)
        for b in range(NUM_CHORDS)
    ]
    assert math.fsum(map(math.exp, scores)) == pytest.approx(1.0)


def test_a_bar_after_others_sums_to_one(prior):
    layout, longer = parse_section_layout("A2"), parse_section_layout("A2 A1")
    form = SongForm(
        np.array([[1, 1, 1], [1, 1, 1], [2, 2, 2]]), np.array([[-1] * 3, [-1] * 3, [0] * 3])
    )
    before = [[1, 30], [21, 37]]
    known = prior.log_likelihood(layout, free_form(2), before)
    scores = [
        prior.log_likelihood(longer, form, [*before, [a, b]])
        for a in range(NUM_CHORDS)
        for b in range(NUM_CHORDS)
    ]
    assert math.fsum(map(math.exp, scores)) == pytest.approx(math.exp(known))


def test_held_out_is_likelier_than_by_chance(prior):
    score = prior.log_likelihood(LAYOUT, free_form(22), song(99))
    assert score > 0.5 * 44 * -math.log(NUM_CHORDS)


def test_draws_loop_as_the_songs_do(prior):
    same = []
    for seed in range(10):
        chords = prior.sample(LAYOUT, free_form(22), np.random.default_rng(seed))
        assert chords.shape == (22, 2)
        assert ((chords >= 0) & (chords < NUM_CHORDS)).all()
        same.append((chords[4:] == chords[:-4]).mean())
    assert np.mean(same) > 0.6


def test_repeats_of_the_piano_have_the_chords_of_their_source(prior):
    states, sources = np.full((22, 3), CellState.NEW), np.full((22, 3), NO_SOURCE)
    states[12:20, 2], sources[12:20, 2] = CellState.REPEATS, np.arange(3, 11)
    states[20:, 1], sources[20:, 1] = CellState.VARIES_NOTES, [0, 1]
    for seed in range(5):
        chords = prior.sample(LAYOUT, SongForm(states, sources), np.random.default_rng(seed))
        assert np.array_equal(chords[12:20], chords[3:11])
        assert np.array_equal(chords[20:], chords[:2])


def test_json_gives_the_same_draws(prior):
    again = ChordPrior.from_file(ChordsFile.model_validate_json(json.dumps(prior.to_json())))
    draws = [p.sample(LAYOUT, free_form(22), np.random.default_rng(3)) for p in (prior, again)]
    assert np.array_equal(*draws)


def test_refusals(prior):
    with pytest.raises(ConfigurationError, match="at least one training song"):
        ChordPrior.fit([])
    for chords in (np.full((22, 2), NUM_CHORDS), np.full((22, 2), -1), np.zeros((21, 2))):
        with pytest.raises(ConfigurationError, match="ids 0 to 48"):
            prior.log_likelihood(LAYOUT, free_form(22), chords)
    with pytest.raises(ConfigurationError, match="22 bars, but its form has 21"):
        prior.sample(LAYOUT, free_form(21), np.random.default_rng(0))
