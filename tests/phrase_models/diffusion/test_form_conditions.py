"""Form, chords and relations as conditions of the denoiser."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from phrase_models.diffusion.conditioning import PlanBatch, collate_plans
from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.diffusion.noise_schedule import build_noise_schedule
from phrase_models.diffusion.objective import NoisyBatch, hide_conditions, training_loss
from phrase_models.diffusion.plan import SongPlan, form_classes, plan_features, plan_from_layout
from phrase_models.diffusion.relations import bar_relations, same_class, section_relations
from phrase_models.form.song_form import SongForm, relations
from phrase_models.training.randomness import seed_everything

LAYOUTS = ("i2 A4 B3 A4 o1", "A3 B2 A3")
NO_SONG, ALL_SONGS = torch.tensor([False, False]), torch.tensor([True, True])


def build(config: DenoiserConfig) -> Denoiser:
    seed_everything(5)
    denoiser = Denoiser(config, 3, 6).eval()
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return denoiser


def collate(plans: list[SongPlan], config: DenoiserConfig, num_bars: int = 16) -> PlanBatch:
    features = [plan_features(p.num_bars, p.sections, p.form, p.chords, p.texture) for p in plans]
    return collate_plans(features, num_bars, config, num_slots=3)


@pytest.fixture
def config(make_form_config):
    return make_form_config()


@pytest.fixture
def plans(make_plan):
    return [make_plan(layout, seed) for seed, layout in enumerate(LAYOUTS)]


@pytest.fixture
def noisy():
    return torch.randn(2, 16, 3, 6, generator=torch.Generator().manual_seed(1))


TIMES = torch.tensor([0.3, 0.8])


def moved(config, noisy, first, second) -> torch.Tensor:
    """How far each bar's prediction moves between two batches (B, N)."""
    denoiser = build(config)
    difference = denoiser(noisy, TIMES, first) - denoiser(noisy, TIMES, second)
    return difference.detach().abs().amax(dim=(2, 3))


def test_new_conditions_leave_the_other_weights_at_the_start_alone(config, make_config):
    def weights(settings):
        seed_everything(3)
        return Denoiser(settings, 3, 6).state_dict()

    plain, full = weights(make_config()), weights(config)
    added = set(full) - set(plain)
    assert all(torch.equal(full[name], plain[name]) for name in plain)
    assert added == {
        "state_embedding.table.weight",
        "given_embedding.table.weight",
        "chord_embedding.tables.0.weight",
        "chord_embedding.tables.1.weight",
        "blocks.0.attention.relation_bias",
        "blocks.1.attention.relation_bias",
        *(f"texture_embedding.tables.{index}.table.weight" for index in range(5)),
    }
    assert full["blocks.0.attention.relation_bias"].shape == (9 + 2 + 2, 2)
    assert full["state_embedding.table.weight"].shape == (3 * 6, 32)


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
def test_every_parameter_moves(config, plans, noisy, autocast):
    denoiser, schedule = build(config).train(), NoiseScheduleConfig()
    batch = collate(plans, config)
    batch = replace(batch, given=torch.rand(batch.given.shape) < 0.3)
    songs = NoisyBatch(noisy, torch.randn_like(noisy), torch.tensor([300, 700]), batch, 1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = training_loss(denoiser, build_noise_schedule(schedule), schedule, songs)["loss"]
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in denoiser.named_parameters()}
    assert [name for name, grad in gradients.items() if grad is None or not grad.any()] == []
    for block in denoiser.blocks:  # every single relation is there in these songs
        assert block.attention.relation_bias.grad.any(dim=1).all()


def test_every_condition_changes_the_prediction_and_is_hidden_alone(config, plans, noisy):
    batch = collate(plans, config)
    mask = batch.bar_mask
    hidden = {
        "form": batch.hide(NO_SONG, NO_SONG, ALL_SONGS, NO_SONG),
        "chords": batch.hide(NO_SONG, NO_SONG, NO_SONG, ALL_SONGS),
        "sections": batch.hide(NO_SONG, ALL_SONGS),
        "texture": batch.hide(NO_SONG, NO_SONG, texture=ALL_SONGS),
    }
    for without in hidden.values():
        assert (moved(config, noisy, batch, without)[mask] > 1e-3).all()
    others = [SongPlan(p.num_bars, p.sections, None, p.chords, p.texture) for p in plans]
    no_form = collate(others, config)
    assert torch.equal(moved(config, noisy, hidden["form"], no_form), torch.zeros(2, 16))
    others = [SongPlan(p.num_bars, p.sections, p.form, None, p.texture) for p in plans]
    no_chords = collate(others, config)
    assert torch.equal(moved(config, noisy, hidden["chords"], no_chords), torch.zeros(2, 16))
    others = [SongPlan(p.num_bars, p.sections, p.form, p.chords) for p in plans]
    no_texture = collate(others, config)
    assert torch.equal(moved(config, noisy, hidden["texture"], no_texture), torch.zeros(2, 16))
    both = batch.hide(NO_SONG, NO_SONG, ALL_SONGS, ALL_SONGS, ALL_SONGS)
    assert torch.equal(moved(config, noisy, batch.hide_form(), both), torch.zeros(2, 16))


def test_with_all_hidden_no_plan_is_told_from_another(config, plans, noisy, make_plan):
    lengths = [make_plan("A5 B5 A5", 7), make_plan("B8", 8)]
    first, second = collate(plans, config).hide_all(), collate(lengths, config).hide_all()
    second = replace(second, bar_mask=first.bar_mask)
    assert torch.equal(moved(config, noisy, first, second), torch.zeros(2, 16))
    empty = collate([SongPlan(p.num_bars) for p in plans], config)
    empty = replace(empty, length_bucket=0 * empty.length_bucket, bars_left=0 * empty.bars_left)
    assert torch.equal(moved(config, noisy, first, empty), torch.zeros(2, 16))


def test_another_form_other_chords_and_shuffled_sections_change_the_song(
    config, plans, noisy, make_plan
):
    batch = collate(plans, config)
    song = plans[1]
    others = {
        "form": replace(song, form=make_plan(LAYOUTS[1], 9).form),
        "chords": replace(song, chords=(song.chords + 2) % 49),
        "sections": replace(song, sections=plan_from_layout("B2 A3 A3").sections),
    }
    for other in others.values():
        change = moved(config, noisy, batch, collate([plans[0], other], config))
        assert change[0].max() == 0.0
        assert (change[1, :8] > 1e-3).all()


def test_one_chord_moves_its_bar_most(config, plans, noisy):
    batch = collate(plans, config)
    chords = batch.chords.clone()
    chords[1, 4, 1] = 1 + chords[1, 4, 1] % 49
    change = moved(config, noisy, batch, replace(batch, chords=chords))[1, :8]
    assert int(change.argmax()) == 4


def test_padding_and_the_order_of_the_batch_change_nothing(config, plans, noisy):
    denoiser = build(config)
    batch = collate(plans, config)
    output = denoiser(noisy, TIMES, batch).detach()
    changed = torch.where(batch.bar_mask[:, :, None, None], noisy, 1e3 * torch.ones(()))
    again = denoiser(changed, TIMES, batch)
    assert torch.equal(output[batch.bar_mask], again[batch.bar_mask])
    longer = torch.cat((noisy, noisy), dim=1)
    wide = denoiser(longer, TIMES, collate(plans, config, num_bars=32))[:, :16]
    assert torch.allclose(output[batch.bar_mask], wide[batch.bar_mask], atol=1e-5)
    back = denoiser(noisy.flip(0), TIMES.flip(0), collate(plans[::-1], config)).flip(0)
    assert torch.allclose(output[batch.bar_mask], back[batch.bar_mask], atol=1e-5)


def test_relations_are_those_of_the_form(config, plans):
    batch = collate(plans, config)
    built = bar_relations(config, batch, 1)
    assert built.shape == (2, 3 + 9 + 2 + 2, 16, 16)
    for row, plan in enumerate(plans):
        bars = plan.num_bars
        expected = relations(plan.form).reshape(9, bars, bars)
        assert np.array_equal(built[row, 3:12, :bars, :bars].numpy(), expected)
        assert built[row, 3:14, bars:].sum() == 0
        assert built[row, 3:14, :, bars:].sum() == 0
    assert built[0, 14].nonzero().tolist()[:3] == [[0, 2], [1, 3], [2, 0]]
    with torch.autocast("cpu", torch.bfloat16):
        assert bar_relations(config, batch, 1).dtype == torch.bfloat16


def test_class_numbers_are_first_bars():
    form = SongForm(
        np.array([[1], [0], [2], [3], [4], [2]]), np.array([[-1], [-1], [0], [2], [3], [3]])
    )
    exact, notes, rhythm = form_classes(form)[:, 0].tolist()
    assert exact == [1, 0, 1, 4, 5, 4]
    assert notes == [1, 0, 1, 1, 5, 1]
    assert rhythm == [1, 0, 1, 1, 1, 1]
    assert not same_class(torch.zeros(4)).any()


def test_all_sections_of_a_label_are_related_bar_by_bar():
    features = plan_features(9, plan_from_layout("A2 B2 A3 A2").sections)
    earlier, later = section_relations(torch.from_numpy(features.section_classes)[None])[0]
    pairs = [[4, 0], [5, 1], [7, 0], [7, 4], [8, 1], [8, 5]]
    assert earlier.nonzero().tolist() == pairs
    assert sorted(pair[::-1] for pair in later.nonzero().tolist()) == pairs


def test_conditions_are_dropped_each_on_its_own_and_all_at_once(make_form_config, make_plan):
    plan = make_plan("A3 B2", 1)
    chords = np.maximum(plan.chords, 0)
    plan = replace(plan, chords=chords)
    config = make_form_config(condition_dropout=0.5)
    batch = collate([plan] * 800, config)

    def dropped(settings):
        seed_everything(2)
        hidden = hide_conditions(batch, settings)
        return torch.stack(
            (
                hidden.length_bucket == 0,
                hidden.bars[:, 0, 0] == 0,
                hidden.states[:, 0, 0] == 0,
                hidden.chords[:, 0, 0] == 0,
            )
        )

    each = dropped(config)
    patterns = (each * torch.tensor([1, 2, 4, 8])[:, None]).sum(dim=0)
    counts = torch.bincount(patterns, minlength=16)
    assert counts.min() > 30  # 50 of each expected
    assert counts.max() < 75
    joint = dropped(make_form_config(condition_dropout=0.0, joint_dropout=0.25))
    assert (joint == joint[0]).all()
    assert 160 < int(joint[0].sum()) < 240


def test_contradictions_are_refused(make_form_config):
    for changes in (
        {"patch_bars": False},
        {"conditioning": "none", "repeat_bias": False},
        {"conditioning": "length", "repeat_bias": False},
        {"bar_lags": (2, 2)},
        {"bar_lags": (0,)},
    ):
        with pytest.raises(ValidationError):
            make_form_config(**changes)
