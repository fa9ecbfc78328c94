"""Which slots of training songs are given, and what the loss makes of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from phrase_models.diffusion.conditioning import collate_plans
from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.given import (
    PATTERNS,
    GivenSlots,
    draw_given,
    prefix,
    surrounded_span,
    whole_tracks,
)
from phrase_models.diffusion.noise_schedule import build_noise_schedule
from phrase_models.diffusion.objective import NoisyBatch, squared_errors
from phrase_models.diffusion.plan import plan_features
from phrase_models.errors import ConfigurationError
from phrase_models.training.randomness import numpy_generator, seed_everything


def test_patterns_are_spans_tracks_cells_and_beginnings():
    rng = numpy_generator("patterns")
    for _ in range(50):
        infill = surrounded_span(rng, 9, 3)
        missing = np.flatnonzero(~infill.any(axis=1))
        assert (np.diff(missing) == 1).all()
        assert len(missing) >= 1
        assert infill.sum() == 3 * (9 - len(missing))
        tracks = whole_tracks(rng, 9, 3)
        assert (tracks == tracks[0]).all()
        assert tracks[0].sum() in (1, 2)
        begun = prefix(rng, 9, 3)
        known = int(begun[:, 0].sum())
        assert begun[:known].all()
        assert not begun[known:].any()
        assert known < 9


def test_a_share_of_songs_has_given_slots_and_all_have_something_to_write():
    lengths = [1, 5, 8] * 200
    given = draw_given(numpy_generator("given"), lengths, (8, 3), 0.5)
    assert given.shape == (600, 8, 3)
    for row, length in zip(given, lengths, strict=True):
        assert not row[length:].any()
        assert not row[:length].all()
    with_some = given.flatten(1).any(dim=1)[torch.tensor(lengths) > 1]
    assert 0.38 < float(with_some.float().mean()) < 0.5  # patterns may come out empty
    assert not draw_given(numpy_generator("given"), lengths, (8, 3), 0.0).any()
    again = draw_given(numpy_generator("given"), lengths, (8, 3), 0.5)
    assert torch.equal(given, again)
    one_slot = draw_given(numpy_generator("slot"), [4] * 50, (4, 1), 1.0)
    assert not one_slot.flatten(1).all(dim=1).any()
    assert len(PATTERNS) == 4


@pytest.fixture
def songs(make_form_config):
    config = make_form_config(self_conditioning=False)
    plans = collate_plans([plan_features(6, ()), plan_features(4, ())], 8, config, num_slots=3)
    clean = torch.randn(2, 8, 3, 6)
    given = torch.zeros(2, 8, 3, dtype=torch.bool)
    given[0, :2] = True
    given[1, :, 1] = True
    batch = NoisyBatch(
        clean, torch.randn_like(clean), torch.tensor([200, 900]), replace(plans, given=given)
    )
    seed_everything(4)
    return Denoiser(config, 3, 6), build_noise_schedule(NoiseScheduleConfig()), batch


def test_given_slots_count_nothing_in_the_loss(songs):
    """Of an untrained network, whose output is 0: the error is the mean square of the target."""
    denoiser, schedule, batch = songs
    errors = squared_errors(denoiser, schedule, batch)
    alpha, sigma = schedule.levels(batch.timesteps)
    squares = (alpha * batch.noise - sigma * batch.clean).square().mean(dim=3)
    expected = [squares[0, 2:6].mean(), squares[1, :4][:, [0, 2]].mean()]
    assert errors.tolist() == pytest.approx([float(value) for value in expected], rel=1e-5)


def test_the_network_sees_given_slots_clean_and_marked(songs):
    denoiser, schedule, batch = songs
    seen = []
    denoiser.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    squared_errors(denoiser, schedule, batch)
    noisy, _, plans, _ = seen[0]
    given = batch.plans.given
    assert torch.equal(plans.given, given)
    assert torch.equal(noisy[given], batch.clean[given])
    assert not torch.isclose(noisy[~given], batch.clean[~given]).all(dim=-1).any()
    with torch.no_grad():
        torch.nn.init.normal_(denoiser.output.weight)
        flagged = denoiser(noisy, torch.tensor([0.2, 0.9]), plans)
        plain = denoiser(
            noisy, torch.tensor([0.2, 0.9]), replace(plans, given=torch.zeros_like(given))
        )
    assert not torch.allclose(flagged, plain, atol=1e-3)


def test_given_slots_of_another_song_are_refused():
    mask, latents = np.ones((4, 3), np.bool_), np.zeros((4, 3, 6), np.float32)
    GivenSlots(mask, latents).check((4, 3, 6))
    with pytest.raises(ConfigurationError, match="the song has the shape"):
        GivenSlots(mask, latents).check((5, 3, 6))
