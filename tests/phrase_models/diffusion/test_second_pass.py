"""Songs that are decoded, encoded, given noise and denoised once more."""

import numpy as np
import pytest
import torch

from phrase_models.diffusion import sampling
from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.dataset import read_dataset
from phrase_models.diffusion.given import GivenSlots
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.samplers import SAMPLERS, song_generator
from phrase_models.diffusion.sampling import draw_songs
from phrase_models.errors import ConfigurationError
from phrase_models.form.song_form import CellState, roots
from phrase_models.training.randomness import seed_everything

ONCE = SamplerConfig(num_sampling_steps=5, guidance_scale=1.5)
TWICE = ONCE.model_copy(update={"second_pass": 0.5, "second_pass_steps": 3})


@pytest.fixture
def model(form_dataset_folder, make_form_config) -> PhraseLDM:
    dataset = read_dataset(form_dataset_folder)
    model = PhraseLDM.for_dataset(dataset, make_form_config(), NoiseScheduleConfig(), seed=1)
    seed_everything(9)
    with torch.no_grad():
        for parameter in model.denoiser.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.denoiser.eval()
    return model


@pytest.fixture
def plans(make_plan):
    return [make_plan("A4 B4 A4", 3), make_plan("A3 A3", 4), make_plan("i2 A4", 5)]


class Codec:
    """Rounds latents, and keeps what it was given."""

    def __init__(self):
        self.seen = []

    def __call__(self, songs):
        self.seen.append([song.copy() for song in songs])
        return [np.round(song) for song in songs]


def test_no_second_pass_is_the_first_one_alone(model, plans):
    codec = Codec()
    songs = draw_songs(model, plans, 0, ONCE, reencode=codec)
    assert codec.seen == []
    for song, same in zip(songs, draw_songs(model, plans, 0, ONCE), strict=True):
        assert np.array_equal(song, same)


def test_the_second_pass_takes_the_songs_of_the_first_one_and_changes_them(model, plans):
    codec, progress = Codec(), []
    songs = draw_songs(
        model,
        plans,
        0,
        TWICE,
        reencode=codec,
        progress=lambda done, total: progress.append((done, total)),
    )
    firsts = [song for call in codec.seen for song in call]
    for first, song, once in zip(firsts, songs, draw_songs(model, plans, 0, ONCE), strict=True):
        assert np.array_equal(first, once)
        assert np.abs(song - first).mean() > 0.1
    assert progress == [(done, 3 * (5 + 3)) for done in range(1, 25)]


def test_the_second_pass_has_a_guidance_of_its_own(model, plans, monkeypatch):
    calls = []
    network = sampling._network

    def counted(*arguments):
        calls.append(0)
        side, denoise = len(calls) - 1, network(*arguments)

        def counting(noisy, timestep, estimate):
            calls[side] += 1
            return denoise(noisy, timestep, estimate)

        return counting

    monkeypatch.setattr(sampling, "_network", counted)
    songs = []
    for scale in (1.0, 2.0):
        calls.clear()
        sampler = TWICE.model_copy(update={"second_pass_guidance": scale})
        songs += draw_songs(model, plans[:1], 0, sampler, reencode=Codec())
        assert calls == [5, 5, 3, 0 if scale == 1.0 else 3]
    assert not np.allclose(*songs, atol=1e-3)


def test_a_second_pass_needs_something_that_encodes(model, plans):
    with pytest.raises(ConfigurationError, match="set second_pass to 0"):
        draw_songs(model, plans, 0, TWICE)


@pytest.mark.parametrize("solver", SAMPLERS)
def test_an_oracle_is_recovered_exactly_from_noise_on_the_encoded_song(
    model, plans, solver, monkeypatch
):
    truth, seen = torch.randn(1, 6, 3, 6), []
    index = torch.from_numpy(roots(plans[1].form))[None, ..., None].expand_as(truth)
    truth = truth.gather(1, index)

    def network(model, plans, fixed):
        def oracle(noisy, timestep, estimate):
            seen.append((timestep, noisy, estimate))
            return truth

        return oracle

    monkeypatch.setattr(sampling, "_network", network)
    sampler = TWICE.model_copy(update={"solver": solver, "guidance_scale": 1.0})
    codec = Codec()
    (song,) = draw_songs(model, plans[1:2], 0, sampler, reencode=codec)
    expected = model.normalizer.denormalise(truth[0].numpy())
    assert np.array_equal(song, expected)
    timestep, noisy, estimate = seen[5]
    assert (timestep, estimate) == (500, None)
    assert [timestep for timestep, *_ in seen[5:]] == [500, 250, 0]
    alpha, sigma = (float(x[500]) for x in (model.schedule.alphas, model.schedule.sigmas))
    start = torch.from_numpy(model.normalizer.normalise(np.round(codec.seen[0][0])))
    generator = song_generator(0, 0)
    num_draws = 5 if solver in ("ddpm", "sde_dpm_solver") else 1  # of the first pass
    for _ in range(num_draws + 1):
        noise = torch.randn(6, 3, 6, generator=generator)
    assert torch.allclose(noisy[0], alpha * start + sigma * noise, atol=1e-5)


def test_song_k_is_the_same_whatever_is_drawn_beside_it(model, plans):
    def draw(plans, **settings):
        return draw_songs(model, plans, 3, TWICE, reencode=list, **settings)

    alone = draw(plans)
    for song, same in zip(alone[1:], draw(plans[1:], first_index=1), strict=True):
        assert np.array_equal(song, same)
    for song, same in zip(alone, draw(plans, batch_size=3), strict=True):
        assert np.allclose(song, same, atol=2e-3 * song.std())


def test_copies_silence_and_given_slots_hold_in_the_second_pass(model, plans):
    plan, rng = plans[0], np.random.default_rng(0)
    mask = rng.random((12, 3)) < 0.3
    latents = rng.normal(size=(12, 3, 6)).astype(np.float32) * 3 + 1
    sampler = TWICE.model_copy(update={"force_silence": True})
    free, song = draw_songs(
        model, [plan, plan], 0, sampler, given=[None, GivenSlots(mask, latents)], reencode=Codec()
    )
    assert np.array_equal(song[mask], latents[mask])
    for drawn, known in ((free, np.zeros_like(mask)), (song, mask)):
        silent = (plan.form.states == CellState.SILENT) & ~known
        assert np.allclose(drawn[silent], 9.0, atol=1e-5)
    copies = np.take_along_axis(free, roots(plan.form)[..., None], axis=0)
    assert np.array_equal(free, copies)
