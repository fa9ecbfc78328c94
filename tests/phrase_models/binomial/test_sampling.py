"""Whole songs out of segments: known cells kept, variation, one source of chance a song."""

import numpy as np
import pytest
import torch

from phrase_models.binomial.config import BinomialSamplerConfig
from phrase_models.binomial.known import (
    KnownCells,
    draw_known_mask,
    pitch_mask,
    step_mask,
    voice_mask,
)
from phrase_models.binomial.network import RollCondition, song_places
from phrase_models.binomial.sampling import RollRequest, denoiser, draw_rolls, segment_starts
from phrase_models.errors import ConfigurationError
from phrase_models.score.song import MELODY, PIANO

FEW = BinomialSamplerConfig(num_sampling_steps=4, overlap_bars=2)


def test_segments_cover_a_song_and_share_bars():
    assert segment_starts(24, 24, 8) == [0]
    assert segment_starts(3, 24, 8) == [0]
    for num_bars in range(25, 129):
        firsts = segment_starts(num_bars, 24, 8)
        assert firsts[0] == 0
        assert firsts[-1] == num_bars - 24
        assert max(np.diff(firsts)) <= 16
        assert min(np.diff(firsts)) >= 1


def test_song_k_is_the_same_alone_and_among_others(restless):
    requests = [RollRequest(3), RollRequest(9), RollRequest(5)]
    together = draw_rolls(restless, requests, 7, FEW)
    assert [roll.shape for roll in together] == [(6, 16 * bars, 32) for bars in (3, 9, 5)]
    (alone,) = draw_rolls(restless, [RollRequest(9)], 7, FEW, first_index=1)
    assert (alone == together[1]).all()
    (other,) = draw_rolls(restless, [RollRequest(9)], 8, FEW, first_index=1)
    assert (other != together[1]).any()


@pytest.mark.parametrize("sampler", ["posterior", "released"])
def test_known_cells_come_back_exactly(restless, sampler):
    rng = np.random.default_rng(0)
    shape = (6, 16 * 9, 32)
    for mask in (
        voice_mask(restless.config.roll, shape[1], (MELODY,)),
        ~step_mask(restless.config.roll, shape[1], 32, 64),
        rng.random(shape) < 0.5,
    ):
        known = KnownCells(mask, rng.random(shape) < 0.1)
        settings = FEW.model_copy(update={"sampler": sampler})
        (roll,) = draw_rolls(restless, [RollRequest(9, known)], 0, settings)
        assert known.kept_in(roll)
        (free,) = draw_rolls(restless, [RollRequest(9)], 0, settings)
        assert not known.kept_in(free)


def test_what_is_known_reaches_the_other_cells(restless):
    mask = voice_mask(restless.config.roll, 64, (MELODY,))
    noisy = torch.zeros(6, 64, 32, dtype=torch.bool)
    estimates = []
    for value in (False, True):
        values = torch.from_numpy(mask & value)
        denoise = denoiser(restless, torch.from_numpy(mask), values, FEW)
        with torch.no_grad():
            estimates.append(denoise(noisy, 10))
    assert (estimates[0] != estimates[1])[2:].any()
    assert (estimates[1][:2] == 1).all()


def test_outputs_are_averaged_where_segments_overlap(restless):
    """Of a song of 6 bars in segments of 4, bars 2 and 3 are the mean of both in logits."""
    roll = torch.rand(6, 96, 32) < 0.1
    nothing = torch.zeros_like(roll)
    with torch.no_grad():
        whole = denoiser(restless, nothing, nothing, FEW)(roll, 5).logit()
        parts = []
        for first in (0, 2):
            cells = roll[None, :, 16 * first : 16 * first + 64]
            empty = torch.zeros_like(cells)
            condition = RollCondition(empty, empty, song_places(6, first, 4)[None])
            parts.append(restless.output(cells, torch.tensor([5]), condition)[0])
    assert torch.allclose(whole[:, :32], parts[0][:, :32], atol=1e-3)
    assert torch.allclose(whole[:, 64:], parts[1][:, 32:], atol=1e-3)
    mean = (parts[0][:, 32:] + parts[1][:, :32]) / 2
    assert torch.allclose(whole[:, 32:64], mean, atol=1e-3)


def test_variation_grows_with_the_amount_from_nothing(model, dataset):
    song = dataset.split("train")[0]
    start = dataset.roll(song)
    distances = []
    for amount in (0.0, 0.1, 0.3, 0.6, 1.0):
        request = RollRequest(song.num_bars, start=start, amount=amount)
        (roll,) = draw_rolls(model, [request], 3, BinomialSamplerConfig(num_sampling_steps=20))
        distances.append(int((roll != start).sum()))
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[-1] > 0.5 * start.sum()


def test_a_variation_keeps_known_cells_at_every_amount(restless, dataset):
    song = dataset.split("train")[0]
    start = dataset.roll(song)
    known = KnownCells(pitch_mask(restless.config.roll, start.shape[1], 60, 127), ~start)
    for amount in (0.0, 0.4):
        request = RollRequest(song.num_bars, known, start, amount)
        (roll,) = draw_rolls(restless, [request], 3, FEW)
        assert known.kept_in(roll)


def test_what_does_not_fit_is_refused(model):
    wrong = np.zeros((6, 16, 32), np.bool_)
    for request, words in (
        (RollRequest(0), "0 bars was asked for; ask for 1 to 128"),
        (RollRequest(129), "129 bars was asked for"),
        (RollRequest(2, start=wrong), "was given for 2 bars"),
        (RollRequest(2, KnownCells(wrong, wrong)), "was given for 2 bars"),
        (RollRequest(1, start=wrong, amount=1.5), "amount of variation is 1.5"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            draw_rolls(model, [request], 0, FEW)


def test_masks_are_of_voices_steps_and_midi_pitches(model):
    roll = model.config.roll
    assert np.flatnonzero(voice_mask(roll, 64, (PIANO,)).all(axis=(1, 2))).tolist() == [4, 5]
    assert step_mask(roll, 64, 16, 32).sum() == 6 * 16 * 32
    mask = pitch_mask(roll, 64, 60, 71)
    assert np.flatnonzero(mask[0, 0]).tolist() == list(range(12, 24))
    assert pitch_mask(roll, 64, 0, 127).all()
    assert not pitch_mask(roll, 64, 0, 20).any()


def test_half_of_the_training_segments_know_cells(model):
    rng = np.random.default_rng(0)
    roll = model.config.roll
    masks = draw_known_mask(rng, roll, 400, 0.5)
    shares = masks.mean(axis=(1, 2, 3))
    assert 0.42 < (shares > 0).mean() < 0.58
    assert shares.max() < 1.0
    melody = voice_mask(roll, roll.segment_steps, (MELODY,))
    assert sum((mask == melody).all() for mask in masks) > 20
    assert not draw_known_mask(rng, roll, 20, 0.0).any()
    flat = roll.model_copy(update={"voices": "flattened"})
    assert draw_known_mask(rng, flat, 20, 1.0).shape == (20, 2, 64, 32)
