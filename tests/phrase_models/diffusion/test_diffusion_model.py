import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.dataset import read_dataset
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.diffusion.pretrained import load_ldm, save_ldm
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.sampling import MOST_IN_PLACE, draw_songs, resolve_plans
from phrase_models.diffusion.training import DiffusionTraining
from phrase_models.errors import ConfigurationError
from phrase_models.form.form_lending import LendingSong, fit_to_layout, share_in_place
from phrase_models.form.song_form import CellState
from phrase_models.form.texture import NO_TEXTURE
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import fit
from phrase_models.training.randomness import seed_everything

SAMPLER = SamplerConfig(num_sampling_steps=4, guidance_scale=1.5)
PLANS = [plan_from_layout("i1 A3 B2 A3"), plan_from_layout("A2 B2 A2"), SongPlan(), SongPlan(10)]


def shaken(dataset, config, schedule=None) -> PhraseLDM:
    model = PhraseLDM.for_dataset(dataset, config, schedule or NoiseScheduleConfig(), seed=1)
    seed_everything(9)
    with torch.no_grad():
        for parameter in model.denoiser.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.denoiser.eval()
    return model


@pytest.fixture
def dataset(dataset_folder):
    return read_dataset(dataset_folder)


@pytest.fixture
def model(dataset, base_config):
    return shaken(dataset, base_config)


def test_saved_and_loaded_models_write_the_same_songs(dataset, config, tmp_path):
    model = shaken(dataset, config)
    sampler = SAMPLER if config.condition_dropout else SamplerConfig(num_sampling_steps=4)
    songs = draw_songs(model, PLANS[:2], 3, sampler)
    save_ldm(model, tmp_path)
    loaded = load_ldm(tmp_path)
    assert loaded.config == model.config
    assert loaded.length_prior == model.length_prior
    again = draw_songs(loaded, PLANS[:2], 3, sampler)
    for song, same in zip(songs, again, strict=True):
        assert song.dtype == np.float32
        assert np.array_equal(song, same)
    expected = [32, 32] if config.pad_with_end else [9, 6]
    assert [song.shape for song in songs] == [(bars, 3, 6) for bars in expected]


def test_song_k_is_the_same_whatever_is_drawn_beside_it(model):
    alone = draw_songs(model, PLANS, 3, SAMPLER)
    later = draw_songs(model, PLANS[2:], 3, SAMPLER, first_index=2)
    for song, same in zip(alone[2:], later, strict=True):
        assert np.array_equal(song, same)
    together = draw_songs(model, PLANS, 3, SAMPLER, batch_size=4)
    for song, same in zip(alone, together, strict=True):
        assert song.shape == same.shape
        assert np.allclose(song, same, atol=2e-3 * song.std())
    other = draw_songs(model, PLANS[:1], 4, SAMPLER)
    assert not np.allclose(other[0], alone[0], atol=0.1)


@pytest.mark.parametrize("solver", ["ddpm", "ddim", "dpm_solver", "sde_dpm_solver"])
def test_solvers_and_half_precision_agree_on_shapes(model, solver):
    for precision in ("fp32", "bf16"):
        sampler = SamplerConfig(solver=solver, num_sampling_steps=3, precision=precision)
        song = draw_songs(model, PLANS[:1], 0, sampler)[0]
        assert song.shape == (9, 3, 6)
        assert np.isfinite(song).all()


def test_progress_counts_evaluations(model):
    seen = []
    draw_songs(
        model,
        PLANS,
        0,
        SAMPLER,
        batch_size=3,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(index, 8) for index in range(1, 9)]


def test_open_plans_are_drawn_from_training_songs(model):
    known = {plan.section_layout for plan in model.length_prior}
    plans = resolve_plans(model, [SongPlan()] * 40, seed=1)
    assert {plan.section_layout for plan in plans} == known
    assert plans[7:9] == resolve_plans(model, [SongPlan()] * 2, seed=1, first_index=7)
    fitting = resolve_plans(model, [SongPlan(10)], seed=1)[0]
    assert fitting.section_layout == "A2 B2 A2 B2 C2"
    assert resolve_plans(model, [SongPlan(11)], seed=1) == [SongPlan(11)]
    assert resolve_plans(model, [PLANS[0]], seed=1) == [PLANS[0]]


def test_open_plans_bring_layout_form_and_chords_of_one_training_song(
    form_dataset_folder, make_form_config
):
    model = shaken(read_dataset(form_dataset_folder), make_form_config())
    drawn = resolve_plans(model, [SongPlan()] * 20, seed=1)
    assert set(drawn) == set(model.length_prior)


def test_sections_borrow_a_form_of_another_song_fitted_to_them(
    form_dataset_folder, make_form_config, make_plan
):
    config = make_form_config(texture_condition=False)
    model = shaken(read_dataset(form_dataset_folder), config)
    asked = plan_from_layout("i2 A3 A3 x2 B4 B4")  # nearly the layout of the second song
    lender = next(plan for plan in model.length_prior if plan.section_layout.startswith("i1 A3"))
    lent = fit_to_layout(LendingSong(lender.sections, lender.form, lender.chords), asked.sections)
    (plan,) = resolve_plans(model, [asked], seed=1)
    assert (plan.sections, plan.form) == (asked.sections, lent.form)
    assert np.array_equal(plan.chords, lent.chords)
    own = np.zeros((18, 2), np.int64)
    (plan,) = resolve_plans(model, [replace(asked, chords=own)], seed=1)
    assert plan.form == lent.form
    assert np.array_equal(plan.chords, own)
    known = make_plan(asked.section_layout, 3)
    assert resolve_plans(model, [known], seed=1) == [known]
    # No song of the layout itself lends, so a known layout gets another form than its song has.
    (plan,) = resolve_plans(model, [plan_from_layout(lender.section_layout)], seed=1)
    assert plan.form not in (None, lender.form)
    # Where no training song has a form, it is hidden.
    model.length_prior = tuple(replace(plan, form=None) for plan in model.length_prior)
    assert resolve_plans(model, [asked], seed=1) == [asked]


def test_who_knows_textures_borrows_them_too_from_one_of_several_songs(
    form_dataset_folder, make_form_config, make_plan
):
    model = shaken(read_dataset(form_dataset_folder), make_form_config())
    asked = plan_from_layout("i2 A3 A3 x2 B4 B4")
    lent = [
        fit_to_layout(LendingSong(k.sections, k.form, k.chords, k.texture), asked.sections)
        for k in model.length_prior
        if share_in_place(k.sections, asked.sections) <= MOST_IN_PLACE
    ]
    assert 1 < len(lent) < len(model.length_prior)
    drawn = resolve_plans(model, [asked] * 40, seed=1)
    wholes = {replace(asked, form=s.form, chords=s.chords, texture=s.texture) for s in lent}
    assert set(drawn) == wholes
    # A form of one's own borrows a texture that fits it, and one given is kept.
    own = make_plan(asked.section_layout, 3)
    (plan,) = resolve_plans(model, [replace(own, texture=None)], seed=1)
    assert (plan.form, plan.sections) == (own.form, asked.sections)
    assert (plan.texture[own.form.states == CellState.SILENT] == NO_TEXTURE).all()
    repeated = own.form.states == CellState.REPEATS
    bars, slots = np.nonzero(repeated)
    assert np.array_equal(
        plan.texture[repeated], plan.texture[own.form.sources[bars, slots], slots]
    )
    assert resolve_plans(model, [own], seed=1) == [own]
    # A texture alone, or with sections, stays; a form that is lent to it is fitted to it.
    (plan,) = resolve_plans(model, [SongPlan(texture=own.texture[:17])], seed=1)
    assert (plan.num_bars, plan.section_layout) == (17, "i1 A3 A3 x2 B4 B4")
    assert np.array_equal(plan.texture, own.texture[:17])
    (plan,) = resolve_plans(model, [replace(asked, texture=own.texture)], seed=1)
    assert np.array_equal(plan.texture, own.texture)
    assert ((plan.form.states == CellState.SILENT) == (own.texture == NO_TEXTURE).all(-1)).all()
    assert not any(plan.form == song.form for song in lent)


def test_length_models_draw_lengths_only(dataset, make_config):
    model = shaken(dataset, make_config(conditioning="length", repeat_bias=False))
    plans = resolve_plans(model, [SongPlan()] * 20, seed=0)
    assert {plan.num_bars for plan in plans} == {10, 17, 19, 20}
    assert all(plan.sections == () for plan in plans)


def test_unmeetable_requests_are_refused(dataset, model, make_config):
    with pytest.raises(ConfigurationError, match="at most 32"):
        draw_songs(model, [SongPlan(33)], 0, SAMPLER)
    paper = shaken(dataset, make_config("paper"))
    with pytest.raises(ConfigurationError, match="No training song has 11 bars"):
        resolve_plans(paper, [SongPlan(11)], seed=0)
    with pytest.raises(ConfigurationError, match="without condition dropout"):
        draw_songs(paper, PLANS[:1], 0, SAMPLER)


def test_missing_and_newer_models_are_refused(model, tmp_path):
    with pytest.raises(ConfigurationError, match="There is no PhraseLDM in"):
        load_ldm(tmp_path)
    save_ldm(model, tmp_path)
    description = json.loads((tmp_path / "config.json").read_text())
    description["format_version"] = 99
    (tmp_path / "config.json").write_text(json.dumps(description))
    with pytest.raises(ConfigurationError, match="has format 99"):
        load_ldm(tmp_path)


def training_config(**changes):
    values = {
        "num_steps": 4,
        "batch_size": 3,
        "learning_rate": 2e-3,
        "warmup_steps": 0,
        "validate_every": 4,
        "checkpoint_every": 2,
        **changes,
    }
    return TrainingConfig(**values)


def test_validation_is_the_same_number_twice(dataset, config):
    model = shaken(dataset, config)
    training = DiffusionTraining(model, dataset, training_config())
    with torch.no_grad():
        first, second = training.validate(), training.validate()
    assert first == second
    assert first["score"] == pytest.approx((first["clean_half"] + first["noisy_half"]) / 2)


def test_an_untrained_model_has_the_error_of_predicting_zero(dataset, base_config):
    """The velocity of unit-scale latents has variance 1."""
    model = PhraseLDM.for_dataset(dataset, base_config, NoiseScheduleConfig(), seed=1)
    training = DiffusionTraining(model, dataset, training_config())
    with torch.no_grad():
        assert training.validate()["score"] == pytest.approx(1.0, abs=0.2)


def test_a_step_is_a_function_of_its_number(dataset, config):
    def loss(step):
        model = shaken(dataset, config)
        training = DiffusionTraining(model, dataset, training_config())
        seed_everything(0, "train", step)
        return float(training.loss(training.batch(step), slice(None))["loss"].detach())

    assert loss(3) == loss(3)
    assert loss(3) != loss(4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_loop_trains_it(dataset, base_config, tmp_path, precision):
    model = PhraseLDM.for_dataset(dataset, base_config, NoiseScheduleConfig(), seed=1)
    config = training_config(precision=precision, ema_decay=0.9)
    result = fit(DiffusionTraining(model, dataset, config), config, tmp_path)
    assert result["steps"] == 4
    assert result["best_score"] < 2.0


@pytest.mark.slow
def test_it_overfits_a_song(dataset_folder, make_config, tmp_path):
    """One song, its plan given: what is sampled is that song."""
    dataset = read_dataset(dataset_folder)
    song = dataset.split("train")[0]
    alone = type(dataset)((song,), dataset.layout, 3, dataset.latent_dim, None)
    config = make_config(model_dim=64, feedforward_dim=128, condition_dropout=0.0)
    model = PhraseLDM.for_dataset(alone, config, NoiseScheduleConfig(), seed=1)
    training = training_config(
        num_steps=400, batch_size=8, learning_rate=3e-3, validate_every=400, checkpoint_every=400
    )
    fit(DiffusionTraining(model, alone, training), training, tmp_path)
    written = draw_songs(model, [song.plan], 0, SamplerConfig(num_sampling_steps=20))[0]
    original = np.asarray(song.latents)
    error = np.square(written - original).mean() / original.var()
    assert error < 0.05
