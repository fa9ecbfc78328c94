"""Form and chords on disk: beside latents, and in models."""

import numpy as np
import pytest
import torch

from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.dataset import SongBatches, read_dataset
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.objective import NoisyBatch, squared_errors
from phrase_models.diffusion.plan import SongPlan, check_plan
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.diffusion.pretrained import load_ldm, save_ldm
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.sampling import draw_songs
from phrase_models.diffusion.training import DiffusionTraining
from phrase_models.errors import ConfigurationError
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import fit


@pytest.fixture
def dataset(form_dataset_folder):
    return read_dataset(form_dataset_folder)


def test_plans_survive_the_files(make_plan, tmp_path):
    full = make_plan("A4 B4", 1)
    plans = [SongPlan(3), full, SongPlan(8, full.sections, None, full.chords), SongPlan(2)]
    plans.append(SongPlan(8, full.sections, full.form))
    arrays = PlanArrays.of_plans(plans)
    assert arrays.forms.shape == (29, 3, 2)
    assert arrays.forms.dtype == np.int16
    assert arrays.chords.shape == (29, 2)
    assert arrays.chords.dtype == np.int8
    assert arrays.forms[3:11, :, 0].tolist() == full.form.states.tolist()
    assert arrays.forms[3:11, :, 1].tolist() == full.form.sources.tolist()
    arrays.write(tmp_path)
    again, first = PlanArrays.read(tmp_path), 0
    for plan in plans:
        assert again.complete(SongPlan(plan.num_bars, plan.sections), first) == plan
        first += plan.num_bars
    with pytest.raises(ConfigurationError, match="has 29 bars, but bars up to 30"):
        again.complete(SongPlan(1), 29)


def test_without_conditions_no_file_is_written(tmp_path):
    PlanArrays.of_plans([SongPlan(3)]).write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert PlanArrays.read(tmp_path).complete(SongPlan(3), 0) == SongPlan(3)


def test_plans_are_equal_and_hashed_by_value(make_plan):
    first, second = make_plan("A4 B4", 1), make_plan("A4 B4", 1)
    assert first is not second
    assert first == second
    assert len({first, second, make_plan("A4 B4", 2), SongPlan(8)}) == 3
    assert first != SongPlan(first.num_bars, first.sections, first.form)
    with pytest.raises(ValueError, match="read-only"):
        first.chords[0] = 0


def test_form_and_chords_must_fit_the_song(make_plan):
    plan = make_plan("A4 B4", 1)
    assert check_plan(SongPlan(form=plan.form), 32).num_bars == 8
    assert check_plan(SongPlan(chords=plan.chords), 32).num_bars == 8
    assert check_plan(plan, 32) == plan
    with pytest.raises(ConfigurationError, match="The form has 8 bars but the song 7"):
        check_plan(SongPlan(7, form=plan.form), 32)
    with pytest.raises(ConfigurationError, match="There are chords for"):
        check_plan(SongPlan(7, chords=plan.chords), 32)


def test_datasets_bring_form_and_chords_into_batches(dataset, make_form_config, make_plan):
    model = PhraseLDM.for_dataset(dataset, make_form_config(), NoiseScheduleConfig(), seed=1)
    batches = SongBatches(dataset.songs, dataset, model.normalizer, make_form_config())
    batch = batches.batch([1, 3]).plans
    plan = dataset.songs[1].plan
    assert plan == make_plan("i1 A3 A3 x2 B4 B4", 1)
    assert np.array_equal(batch.states[0, :17].numpy(), plan.form.states + 1)
    assert np.array_equal(batch.chords[0, :17].numpy(), plan.chords + 1)
    assert batch.states[0, 17:].sum() == batch.chords[0, 17:].sum() == 0
    plain = SongBatches(dataset.songs, dataset, model.normalizer, make_form_config(num_chords=0))
    assert plain.batch([1]).plans.chords.sum() == 0
    with pytest.raises(ConfigurationError, match=r"knows -1 \(left open\) to 11"):
        SongBatches(dataset.songs, dataset, model.normalizer, make_form_config(num_chords=12))


def test_models_keep_the_plans_of_their_songs_and_write_the_same(
    dataset, make_form_config, tmp_path
):
    model = PhraseLDM.for_dataset(dataset, make_form_config(), NoiseScheduleConfig(), seed=1)
    torch.nn.init.normal_(model.denoiser.output.weight)
    model.denoiser.eval()
    save_ldm(model, tmp_path)
    loaded = load_ldm(tmp_path)
    assert loaded.length_prior == model.length_prior
    assert loaded.length_prior[0].form is not None
    assert np.array_equal(loaded.empty_slot_latents, model.empty_slot_latents)
    sampler = SamplerConfig(num_sampling_steps=3, guidance_scale=2.0)
    songs = [draw_songs(made, [SongPlan()] * 2, 5, sampler) for made in (model, loaded)]
    assert all(np.array_equal(*pair) for pair in zip(*songs, strict=True))


def test_settings_and_models_of_before_still_load(dataset_folder, base_config, tmp_path):
    """A folder without the new files, whose configuration does not name the new fields."""
    model = PhraseLDM.for_dataset(
        read_dataset(dataset_folder), base_config, NoiseScheduleConfig(), seed=1
    )
    save_ldm(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "length_prior.json",
        "model.safetensors",
        "normalizer.json",
    ]
    config = tmp_path / "config.json"
    text = config.read_text()
    for field in ("form_condition", "all_sections_bias", "num_chords", "given_share"):
        text = "\n".join(line for line in text.splitlines() if f'"{field}"' not in line)
    text = text.replace('"bar_lags": [],', "").replace('"joint_dropout": 0.0,', "")
    config.write_text(text)
    assert "bar_lags" not in text
    assert load_ldm(tmp_path).config == model.config


@pytest.mark.parametrize("prediction", ["velocity", "sample"])
def test_songs_with_form_and_chords_are_learnt_and_the_form_helps(
    dataset, make_form_config, tmp_path, prediction
):
    config = make_form_config(model_dim=64, feedforward_dim=128, joint_dropout=0.05)
    schedule = NoiseScheduleConfig(prediction=prediction, min_snr_gamma=None)
    model = PhraseLDM.for_dataset(dataset, config, schedule, seed=1)
    training = TrainingConfig(
        num_steps=100,
        batch_size=4,
        learning_rate=3e-3,
        warmup_steps=10,
        validate_every=100,
        checkpoint_every=100,
        keep="last",
    )
    trainable = DiffusionTraining(model, dataset, training)
    songs = trainable.batches.batch([0, 1, 2, 3])
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(songs.latents.shape, generator=generator)

    @torch.no_grad()
    def error(plans):
        noisy = NoisyBatch(songs.latents, noise, torch.tensor([200, 400, 600, 800]), plans)
        errors = squared_errors(model.denoiser, model.schedule, noisy)
        return float(errors.mean())

    before = error(songs.plans)
    fit(trainable, training, tmp_path)
    assert error(songs.plans) < 0.65 * before
    assert error(songs.plans) < 0.9 * error(songs.plans.hide_form())
