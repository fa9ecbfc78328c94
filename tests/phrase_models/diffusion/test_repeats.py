"""Nearly repeated phrases become equal ones; everything else stays as drawn."""

import numpy as np
import pytest

from phrase_models.diffusion.repeats import join_repeats

RNG = np.random.default_rng(0)
PHRASES = RNG.standard_normal((3, 2, 64)).astype(np.float32)
FORM = [0, 1, 0, 2, 1, 0]


def song(error: float) -> np.ndarray:
    """Six bars of two slots, each phrase with an error of its own."""
    latents = PHRASES[FORM]
    noise = np.random.default_rng(1).standard_normal(latents.shape)
    return (latents + error * noise).astype(np.float32)


def test_repeats_become_equal_and_are_the_mean_of_their_group():
    drawn = song(0.2)
    joined = join_repeats(drawn, 0.6)
    assert joined.shape == drawn.shape
    for phrase in range(3):
        bars = [bar for bar, form in enumerate(FORM) if form == phrase]
        for bar in bars:
            assert np.array_equal(joined[bar], joined[bars[0]])
            assert np.allclose(joined[bar], drawn[bars].mean(axis=0), atol=1e-6)


def test_the_mean_is_nearer_to_the_phrase_than_the_draws():
    drawn, truth = song(0.2), PHRASES[FORM]
    joined = join_repeats(drawn, 0.6)
    repeated = [0, 2, 5]
    before = np.square(drawn - truth)[repeated].mean()
    assert np.square(joined - truth)[repeated].mean() == pytest.approx(before / 3, rel=0.3)


def test_phrases_that_differ_stay_as_drawn():
    drawn = RNG.standard_normal((12, 3, 64)).astype(np.float32)
    assert np.array_equal(join_repeats(drawn, 0.6), drawn)


def test_slots_are_compared_with_their_like_only():
    latents = np.repeat(RNG.standard_normal((1, 1, 64)), 2, axis=1).astype(np.float32)
    latents = np.concatenate((latents, latents[:, ::-1] + np.float32([[0.1], [3.0]])))
    joined = join_repeats(latents, 0.5)
    assert np.array_equal(joined[0, 0], joined[1, 0])
    assert np.array_equal(joined[:, 1], latents[:, 1])


def test_a_second_pass_changes_nothing():
    joined = join_repeats(song(0.2), 0.6)
    assert np.allclose(join_repeats(joined, 0.6), joined, atol=1e-6)
