from dataclasses import replace

import pytest
import torch

from phrase_models.diffusion.attention import rotary_table, rotate
from phrase_models.diffusion.conditioning import collate_plans
from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.denoiser import Denoiser, time_code
from phrase_models.diffusion.noise_schedule import build_noise_schedule
from phrase_models.diffusion.objective import NoisyBatch, hide_conditions, training_loss
from phrase_models.diffusion.plan import plan_features, plan_from_layout
from phrase_models.diffusion.relations import padding_relation, repeat_relations
from phrase_models.training.randomness import seed_everything
from tasks.settings.presets import PAPER_DENOISER

LAYOUTS = ("i2 A4 B3 A4 o1", "A3 B2 A3")
SLOTS, LATENT_DIM = 3, 6


def build(config, seed=5):
    """A denoiser whose zero-initialised parts are shaken."""
    seed_everything(seed)
    denoiser = Denoiser(config, SLOTS, LATENT_DIM).eval()
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return denoiser


def plans_of(layouts, num_bars, config):
    plans = [plan_from_layout(layout) for layout in layouts]
    described = [plan_features(plan.num_bars, plan.sections) for plan in plans]
    return collate_plans(described, num_bars, config)


def batch_of(config, layouts=LAYOUTS, num_bars=16):
    num_bars = config.max_bars if config.pad_with_end else num_bars
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(len(layouts), num_bars, SLOTS, LATENT_DIM, generator=generator)
    times = torch.linspace(0.2, 0.9, len(layouts))
    return noisy, times, plans_of(layouts, num_bars, config)


def test_starts_at_zero(config):
    denoiser = Denoiser(config, SLOTS, LATENT_DIM)
    assert torch.equal(denoiser(*batch_of(config)), torch.zeros_like(batch_of(config)[0]))


@pytest.mark.parametrize("autocast", [False, True], ids=["fp32", "bf16"])
def test_every_parameter_gets_a_gradient(config, autocast):
    """Also under autocast, where a pass without gradient could poison the weights it caches."""
    denoiser = build(config).train()
    clean, _, plans = batch_of(config)
    seed_everything(0)
    timesteps = torch.tensor([300, 700])
    batch = NoisyBatch(clean, torch.randn_like(clean), timesteps, plans, num_estimated=1)
    schedule = NoiseScheduleConfig()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = training_loss(denoiser, build_noise_schedule(schedule), schedule, batch)
    losses["loss"].backward()
    hidden_list = config.conditioning == "sections" and config.section_style == "prompt"
    assert hidden_list == any(
        name.startswith("section_encoder") for name, _ in denoiser.named_parameters()
    )
    missing = [
        name
        for name, parameter in denoiser.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert missing == []


def test_padding_changes_nothing(make_config):
    for config in (make_config(), make_config(patch_bars=False)):
        denoiser = build(config)
        noisy, times, plans = batch_of(config)
        before = denoiser(noisy, times, plans)
        changed = torch.where(plans.bar_mask[:, :, None, None], noisy, 1e3 * torch.ones(()))
        after = denoiser(changed, times, plans)
        assert torch.equal(before[plans.bar_mask], after[plans.bar_mask])
        longer, _, longer_plans = batch_of(config, num_bars=32)
        longer[:, :16] = noisy
        wide = denoiser(longer, times, longer_plans)[:, :16]
        assert torch.allclose(before[plans.bar_mask], wide[plans.bar_mask], atol=1e-5)


def test_a_row_of_a_batch_is_the_song_alone(config):
    denoiser = build(config)
    noisy, times, plans = batch_of(config)
    together = denoiser(noisy, times, plans)
    alone = denoiser(noisy[1:], times[1:], plans[1:])
    mask = plans.bar_mask[1]
    assert torch.allclose(together[1][mask], alone[0][mask], atol=1e-5)


def test_padding_sections_changes_nothing(make_config):
    config = make_config("paper")
    denoiser = build(config)
    noisy, times, _ = batch_of(config)
    alone = denoiser(noisy[1:], times[1:], plans_of(["A3 B2 A3"], 32, config))
    padded = plans_of(["A3 B2 A3", "A1 B1 A1 B1 A1 B1 A1"], 32, config)[0:1]
    assert padded.prompt.shape[1] == 7
    assert torch.allclose(denoiser(noisy[1:], times[1:], padded), alone, atol=1e-5)


@pytest.mark.parametrize("profile", ["base", "paper"])
def test_the_order_of_sections_matters(make_config, profile):
    config = make_config(profile)
    denoiser = build(config)
    noisy, times, _ = batch_of(config, layouts=["A3"])
    outputs = [
        denoiser(noisy, times, plans_of([layout], noisy.shape[1], config))
        for layout in ("i2 A4 B3 o1", "i2 B3 A4 o1")
    ]
    moved = (outputs[0] - outputs[1]).detach().abs().mean()
    assert float(moved) > 0.01 * float(outputs[0].detach().std())


def test_hiding_removes_a_condition_and_only_that(make_config):
    for profile in ("base", "paper"):
        config = make_config(profile)
        denoiser = build(config)
        noisy, times, plans = batch_of(config, layouts=["A3 B2", "B2 A3"])
        noisy[1], times[1] = noisy[0], times[0]
        no, yes = torch.tensor([False] * 2), torch.tensor([True] * 2)
        hidden = denoiser(noisy, times, plans.hide(no, yes))
        assert torch.allclose(hidden[0, :5], hidden[1, :5], atol=1e-5)
        shown = denoiser(noisy, times, plans.hide(yes, no))
        assert not torch.allclose(shown[0, :5], shown[1, :5], atol=1e-2)
        everything = denoiser(noisy, times, plans.hide_all())
        assert not torch.allclose(everything[0, :5], hidden[0, :5], atol=1e-3)


def test_conditions_are_hidden_independently(make_config):
    config = make_config(condition_dropout=0.5)
    plans = plans_of(["A3 B2"] * 400, 16, config)
    seed_everything(2)
    hidden = hide_conditions(plans, config)
    length, sections = hidden.length_bucket == 0, hidden.bars[:, 0, 0] == 0
    counts = [int((length == a).logical_and(sections == b).sum()) for a in (0, 1) for b in (0, 1)]
    assert all(70 < count < 130 for count in counts)
    assert sum(counts) == 400


def test_time_code_is_smooth_and_tells_times_apart():
    codes = time_code(torch.arange(1000) / 999)
    similarity = torch.nn.functional.cosine_similarity(codes[:-1], codes[1:])
    assert float(similarity.min()) > 0.9
    assert len(torch.unique(codes, dim=0)) == 1000
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(time_code(torch.arange(1000) / 999), codes)


def test_rotary_scores_depend_on_distances_in_bars_and_slots(make_config):
    config = make_config(patch_bars=False)
    cosine, sine = rotary_table(config, 8, 3, torch.device("cpu"))
    query, key = torch.randn(2, 16)
    queries = rotate(query.expand(24, -1), cosine, sine).view(8, 3, 16)
    keys = rotate(key.expand(24, -1), cosine, sine).view(8, 3, 16)
    scores = torch.einsum("bsc,tuc->bstu", queries, keys)
    assert torch.allclose(scores[2, 0, 5, 1], scores[4, 1, 7, 2], atol=1e-4)
    assert not torch.allclose(scores[2, 0, 5, 1], scores[2, 0, 5, 2], atol=1e-2)
    assert not torch.allclose(scores[2, 0, 5, 1], scores[2, 0, 6, 1], atol=1e-2)


def test_relations_point_to_the_counterpart_of_the_same_slot():
    matching = torch.tensor([[-1, -1, 0, 1]])
    mask = torch.tensor([[True, True, True, False]])
    previous, following = repeat_relations(matching, 1)[0]
    padding = padding_relation(mask, 1)[0, 0]
    assert previous.nonzero().tolist() == [[2, 0], [3, 1]]
    assert following.nonzero().tolist() == [[0, 2], [1, 3]]
    assert padding.tolist() == [[False, False, False, True]] * 4
    assert padding_relation(mask, 2).shape == (1, 1, 8, 8)
    by_slot = repeat_relations(matching, 2)[0, 0]
    assert by_slot.nonzero().tolist() == [[4, 0], [5, 1], [6, 2], [7, 3]]


def test_repeat_bias_draws_attention_to_the_counterpart(base_config):
    denoiser = build(base_config)
    noisy, times, plans = batch_of(base_config, layouts=["A4 A4"])
    cut = replace(plans, matching_bar=torch.full_like(plans.matching_bar, -1))
    changed = noisy.clone()
    changed[0, 1] += 3.0

    def influence(on):
        """How much bar 5 (the repeat of bar 1) hears of a change in bar 1, against bar 6."""
        moved = (denoiser(changed, times, on) - denoiser(noisy, times, on)).square()
        return float((moved[0, 5].sum() / moved[0, 6].sum()).detach())

    assert influence(plans) > 3 * influence(cut)


def test_profiles_have_the_papers_size():
    paper = PAPER_DENOISER.model_copy(update={"conditioning": "sections"})
    count = sum(p.numel() for p in Denoiser(paper, 4, 64).parameters())
    assert 28e6 < count < 34e6  # about 30 M (paper section 4.3.1)
