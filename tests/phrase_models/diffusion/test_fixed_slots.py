"""Copies, varied phrases, silence and given slots while songs are drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.dataset import read_dataset
from phrase_models.diffusion.fixed_slots import corrected, fix_slots, serving_bars
from phrase_models.diffusion.given import GivenSlots
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.noise_schedule import build_noise_schedule
from phrase_models.diffusion.plan import SongPlan, form_classes, plan_features
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.samplers import SAMPLERS, sampling_timesteps, song_generator
from phrase_models.diffusion.sampling import draw_songs, resolve_plans
from phrase_models.errors import ConfigurationError
from phrase_models.form.song_form import CellState, SongForm, roots
from phrase_models.form.texture import UNKNOWN_TEXTURE
from phrase_models.training.randomness import seed_everything

SAMPLER = SamplerConfig(num_sampling_steps=4, guidance_scale=1.5)


def shaken(dataset, config) -> PhraseLDM:
    model = PhraseLDM.for_dataset(dataset, config, NoiseScheduleConfig(), seed=1)
    seed_everything(9)
    with torch.no_grad():
        for parameter in model.denoiser.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.denoiser.eval()
    return model


@pytest.fixture
def dataset(form_dataset_folder):
    return read_dataset(form_dataset_folder)


@pytest.fixture
def model(dataset, make_form_config):
    return shaken(dataset, make_form_config())


@pytest.fixture
def plan(make_plan):
    return make_plan("A4 B4 A4", 3)


def features_of(plan: SongPlan):
    return plan_features(plan.num_bars, plan.sections, plan.form, plan.chords)


def copies_of(song, form):
    return np.take_along_axis(song, roots(form)[..., None], axis=0)


@pytest.mark.parametrize("solver", SAMPLERS)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_copies_are_equal_bit_for_bit(model, plan, make_plan, solver, batch_size):
    plans = [plan, make_plan("A3 A3", 4)]
    sampler = SAMPLER.model_copy(update={"solver": solver})
    songs = draw_songs(model, plans, 0, sampler, batch_size=batch_size)
    for song, request in zip(songs, plans, strict=True):
        form = request.form
        assert (form.states == CellState.REPEATS).sum() > 3
        assert np.array_equal(song, copies_of(song, form))
        firsts = song[(roots(form) == np.arange(form.num_bars)[:, None])]
        assert len(np.unique(firsts, axis=0)) == len(firsts)
    free = draw_songs(model, plans, 0, sampler.model_copy(update={"copies": False}))[0]
    assert not np.array_equal(free, copies_of(free, plan.form))


@pytest.mark.parametrize("solver", SAMPLERS)
def test_an_oracle_that_obeys_the_form_is_recovered_exactly(plan, solver):
    clean = torch.randn(1, 12, 3, 5)
    index = torch.from_numpy(roots(plan.form))[None, ..., None].expand_as(clean)
    obeyed = clean.gather(1, index)
    fixed = fix_slots([features_of(plan)], [None], None, 12, (3, 5), SamplerConfig())
    schedule = build_noise_schedule(NoiseScheduleConfig())

    def sample(target):
        generator = song_generator(1, 0)
        return SAMPLERS[solver](
            corrected(lambda noisy, timestep, estimate: target, fixed, 500.0),
            schedule,
            sampling_timesteps(1000, 20),
            lambda: torch.randn(clean.shape, generator=generator),
        )

    assert torch.equal(sample(obeyed), obeyed)
    assert torch.equal(sample(clean), obeyed)


@pytest.mark.parametrize("solver", SAMPLERS)
def test_phrases_with_the_notes_of_another_follow_it_and_then_go_free(solver):
    form = SongForm(np.array([[1], [3], [4], [2]]), np.array([[-1], [0], [1], [2]]))
    plan = SongPlan(4, form=form)
    fixed = fix_slots([features_of(plan)], [None], None, 4, (1, 5), SamplerConfig())
    assert fixed.copied_bar.flatten().tolist() == [0, 1, 2, 2]
    assert fixed.followed_bar.flatten().tolist() == [0, 0, 2, 2]  # a rhythm alone is not followed
    clean, schedule = torch.randn(1, 4, 1, 5), build_noise_schedule(NoiseScheduleConfig())
    seen = {}

    def oracle(noisy, timestep, estimate):
        seen[timestep] = noisy
        return clean

    generator = song_generator(1, 0)
    drawn = []

    def draw():
        drawn.append(torch.randn(clean.shape, generator=generator))
        return drawn[-1]

    timesteps = sampling_timesteps(1000, 21)
    result = SAMPLERS[solver](corrected(oracle, fixed, 500.0), schedule, timesteps, draw)
    assert torch.equal(result, clean[:, [0, 1, 2, 2]])
    at_start = next(timestep for timestep in timesteps if timestep <= 500)
    alpha, sigma = float(schedule.alphas[at_start]), float(schedule.sigmas[at_start])
    noise = (seen[at_start] - alpha * clean[:, [0, 0, 2, 2]]) / sigma
    if solver in ("ddpm", "sde_dpm_solver"):  # noise of its own of the right size
        assert 0.5 < float(noise.std()) < 1.5
        assert not torch.allclose(noise[:, 0], noise[:, 1], atol=0.1)
    else:  # exactly the noise of the cell on the latent of its source
        assert torch.allclose(noise, drawn[0], atol=1e-3)


def test_a_given_copy_serves_its_class():
    form = SongForm(np.array([[1], [2], [0], [2]]), np.array([[-1], [0], [-1], [0]]))
    classes = form_classes(form)[0]
    known = np.zeros((4, 1), np.bool_)
    assert serving_bars(classes, known).flatten().tolist() == [0, 0, 2, 0]
    known[3] = True
    assert serving_bars(classes, known).flatten().tolist() == [3, 3, 2, 3]


@pytest.mark.parametrize("solver", SAMPLERS)
@pytest.mark.parametrize("aware", [True, False], ids=["trained for it", "not trained for it"])
def test_given_slots_come_back_untouched(dataset, make_form_config, plan, solver, aware):
    model = shaken(dataset, make_form_config(given_share=0.5 if aware else 0.0))
    rng = np.random.default_rng(0)
    mask = rng.random((12, 3)) < 0.4
    latents = rng.normal(size=(12, 3, 6)).astype(np.float32) * 3 + 1
    latents[~mask] = np.nan
    sampler = SAMPLER.model_copy(update={"solver": solver, "clip_value": 1.0})
    given = GivenSlots(mask, latents)
    alone = draw_songs(model, [plan], 0, sampler)[0]
    song, other = draw_songs(model, [plan, plan], 0, sampler, given=[given, None])
    assert np.array_equal(song[mask], latents[mask])
    assert np.isfinite(song).all()
    assert not np.allclose(song[~mask], alone[~mask], atol=1e-3)
    assert np.array_equal(other, draw_songs(model, [plan], 0, sampler, first_index=1)[0])
    for slot in range(3):  # free copies of a given phrase take it over
        for bar in np.flatnonzero(mask[:, slot]):
            same = (roots(plan.form)[:, slot] == roots(plan.form)[bar, slot]) & ~mask[:, slot]
            first = (
                bar
                == np.flatnonzero(
                    mask[:, slot] & (roots(plan.form)[:, slot] == roots(plan.form)[bar, slot])
                ).min()
            )
            if first and plan.form.states[bar, slot] != CellState.SILENT:
                assert (song[same, slot] == latents[bar, slot]).all()
    with pytest.raises(ConfigurationError, match="the song has the shape"):
        draw_songs(model, [plan], 0, sampler, given=[GivenSlots(mask[:3], latents[:3])])


def test_silence_is_forced_on_request(model, plan, dataset, base_config, dataset_folder):
    assert model.empty_slot_latents.tolist() == [[9.0] * 6] * 3
    silent = plan.form.states == CellState.SILENT
    assert silent.sum() > 2
    forced = SAMPLER.model_copy(update={"force_silence": True})
    song = draw_songs(model, [plan], 0, forced)[0]
    assert np.allclose(song[silent], 9.0, atol=1e-5)
    assert not np.isclose(song[~silent], 9.0, atol=1e-2).all(axis=-1).any()
    free = draw_songs(model, [plan], 0, SAMPLER)[0]
    assert not np.isclose(free[silent], 9.0, atol=1e-2).all(axis=-1).any()
    without = shaken(read_dataset(dataset_folder), base_config)
    assert without.empty_slot_latents is None
    with pytest.raises(ConfigurationError, match="trained without forms"):
        draw_songs(without, [plan], 0, forced)


def test_plan_form_and_chords_change_the_song(model, plan, make_plan):
    plan = replace(plan, texture=np.full_like(plan.texture, UNKNOWN_TEXTURE))  # of any form
    song = draw_songs(model, [plan], 0, SAMPLER)[0]
    other = make_plan("A4 B4 A4", 8)
    shuffled = replace(plan, sections=make_plan("B4 A4 A4", 0).sections)
    changed = (replace(plan, form=other.form), replace(plan, chords=other.chords), shuffled)
    for request in changed:
        assert np.abs(draw_songs(model, [request], 0, SAMPLER)[0] - song).mean() > 0.01


def test_guidance_may_hide_form_and_chords_alone(model, plan):
    def song(hides, request):
        return draw_songs(model, [request], 0, SAMPLER.model_copy(update=hides))[0]

    only_form = {"guidance_hides": "form"}
    assert not np.allclose(song({}, plan), song(only_form, plan), atol=1e-3)
    model.length_prior = ()  # or one of its songs would lend a form
    plain = SongPlan(12, plan.sections)  # then both sides are one
    unguided = draw_songs(model, [plain], 0, SamplerConfig(num_sampling_steps=4))[0]
    assert np.allclose(song(only_form, plain), unguided, atol=1e-4)
    assert not np.allclose(song({}, plain), unguided, atol=1e-3)


def test_form_and_chords_come_with_a_drawn_plan_unless_asked_for(model, plan):
    drawn = resolve_plans(model, [SongPlan()] * 20, seed=1)
    known = {prior.form: prior for prior in model.length_prior}
    assert all(prior == known[prior.form] for prior in drawn)
    assert len(set(drawn)) > 1
    asked = SongPlan(form=plan.form)
    with pytest.raises(ConfigurationError, match="2 slots a bar"):
        resolve_plans(model, [SongPlan(form=SongForm(np.ones((4, 2)), -np.ones((4, 2))))], 0)
    filled = resolve_plans(model, [asked], seed=1)[0]
    assert (filled.num_bars, filled.form) == (12, plan.form)
    fitting = model.length_prior[0].form
    filled = resolve_plans(model, [SongPlan(form=fitting)], seed=1)[0]
    assert filled.form == fitting
    assert filled.sections == model.length_prior[0].sections


def test_unknown_chords_are_refused(model, plan):
    chords = np.full((12, 2), 49)
    with pytest.raises(ConfigurationError, match="from 49 to 49"):
        draw_songs(model, [replace(plan, chords=chords)], 0, SAMPLER)
