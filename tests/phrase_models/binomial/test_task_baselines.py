"""Copied bars and notes by chance."""

import numpy as np
import pytest

from phrase_models.binomial.known import KnownCells, voice_mask
from phrase_models.binomial.rolls import roll_to_song
from phrase_models.binomial.task_baselines import NearestBars, RandomNotes
from phrase_models.metrics.song_tasks import kept_share
from phrase_models.score.dynamics import with_dynamics
from phrase_models.score.song import MELODY
from phrase_models.song_tasks import ACCOMPANIMENT, Hole, melody_alone


@pytest.fixture
def training_song(dataset):
    entry = dataset.split("train")[0]
    return dataset.roll(entry), roll_to_song(dataset.roll(entry), dataset.config)[0]


def test_the_nearest_bar_of_a_training_melody_is_its_own(dataset, training_song):
    roll, song = training_song
    known = KnownCells(voice_mask(dataset.config, roll.shape[1], (MELODY,)), roll)
    found = NearestBars(dataset).nearest(known)
    assert (found[:2] == roll[:2]).all()
    start = melody_alone(song)
    filled = NearestBars(dataset).fill(start, ACCOMPANIMENT, 0)
    assert kept_share(start, filled.song) == 1


def test_a_passage_is_found_by_what_surrounds_it(dataset, training_song):
    roll, song = training_song
    filled = NearestBars(dataset).fill(song, Hole(bars=(2, 4)), 0)
    assert filled.given.num_notes < song.num_notes
    assert filled.song == with_dynamics(song, filled.given)
    mask = np.ones_like(roll)
    mask[:, 32:64] = False
    found = NearestBars(dataset).nearest(KnownCells(mask, roll))
    assert (found == roll)[:, 32:64].all()


def test_random_notes_have_the_density_of_the_training_songs(dataset):
    densities = dataset.densities().numpy()
    maker = RandomNotes(dataset.config, densities)
    roll = maker.draw(400, np.random.default_rng(0))
    assert roll[::2].mean() == pytest.approx(densities[::2].mean(), rel=0.05)
    assert roll[1::2].mean() == pytest.approx(densities[1::2].mean(), rel=0.25)
    assert not (roll[::2] & roll[1::2]).any()


def test_random_notes_keep_what_is_given(dataset, training_song):
    _, song = training_song
    start = melody_alone(song)
    maker = RandomNotes(dataset.config, dataset.densities().numpy())
    filled = maker.fill(start, ACCOMPANIMENT, 0, 1)
    assert kept_share(start, filled.song) == 1
    assert filled.num_written > 0
