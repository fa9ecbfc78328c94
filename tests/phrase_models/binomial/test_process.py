"""Noise, posterior and bound against closed forms and enumeration."""

import itertools
import math

import pytest
import torch

from phrase_models.binomial.config import NoiseConfig
from phrase_models.binomial.process import (
    bound_terms,
    build_process,
    evidence,
    kept_shares,
    noised_probability,
    posterior_probability,
)
from phrase_models.binomial.samplers import draw_noisy

DENSITIES = torch.tensor([[0.1, 0.3], [0.02, 0.5]])


def test_the_schedule_of_the_reference_keeps_one_minus_the_share_noised():
    kept = kept_shares(NoiseConfig(num_timesteps=100))
    assert kept == pytest.approx([1 - (t + 1) / 100 for t in range(100)])
    assert kept[-1] == 0.0


def test_the_cosine_schedule_falls_from_nearly_all_to_nothing():
    kept = kept_shares(NoiseConfig(num_timesteps=50, schedule="cosine"))
    assert (kept[:-1] > kept[1:]).all()
    assert kept[0] > 0.99
    assert kept[-1] == 0.0
    first = math.cos((0.02 + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)
    assert kept[0] == pytest.approx(first**2)


def test_densities_are_one_number_or_one_a_plane_and_pitch():
    number = build_process(NoiseConfig(density="number"), DENSITIES).density
    assert number.item() == pytest.approx(0.23)
    pitch = build_process(NoiseConfig(density="pitch"), DENSITIES).density
    assert pitch.shape == (2, 1, 2)
    assert pitch[1, 0, 1] == 0.5


@pytest.mark.parametrize("timestep", [0, 30, 99])
def test_noised_cells_have_the_marginal_of_the_kernel(timestep):
    process = build_process(NoiseConfig(), DENSITIES)
    clean = torch.zeros(40_000, 2, 1, 2, dtype=torch.bool)
    clean[:, 0] = True
    kept = process.kept_at(torch.full((40_000,), timestep))
    generator = torch.Generator().manual_seed(0)
    uniforms = torch.rand(clean.shape, generator=generator)
    share = draw_noisy(clean, kept, process.density, uniforms).float().mean(0)
    a = 1 - (timestep + 1) / 100
    of_one = [a + (1 - a) * 0.1, a + (1 - a) * 0.3]
    expected = torch.tensor([of_one, [(1 - a) * 0.02, (1 - a) * 0.5]])
    assert torch.allclose(share[:, 0], expected, atol=0.01)


def test_two_steps_of_the_kernel_are_one():
    """q(x_t | x_0) is q(x_s | x_0) followed by q(x_t | x_s)."""
    a_t, a_s, rho = 0.3, 0.8, torch.tensor(0.07)
    for clean in (0.0, 1.0):
        at_s = noised_probability(torch.tensor(clean), a_s, rho)
        in_two = noised_probability(at_s, a_t / a_s, rho)
        assert in_two == pytest.approx(noised_probability(torch.tensor(clean), a_t, rho).item())


def transition(before: int, after: int, kept: float, rho: float) -> float:
    one = kept * before + (1 - kept) * rho
    return one if after else 1 - one


@pytest.mark.parametrize(("a_t", "a_s"), [(0.3, 0.8), (0.0, 0.01), (0.99, 1.0), (0.0, 1.0)])
def test_the_posterior_of_two_cells_is_bayes_by_enumeration(a_t, a_s):
    """P(x_s | x_t) of two cells whose clean values have any joint distribution, summed by hand."""
    joint = {(0, 0): 0.5, (0, 1): 0.1, (1, 0): 0.15, (1, 1): 0.25}
    rhos = (0.07, 0.4)
    for noisy in itertools.product((0, 1), repeat=2):
        weights = {}
        for clean, earlier in itertools.product(joint, itertools.product((0, 1), repeat=2)):
            weight = joint[clean]
            for cell in range(2):
                weight *= transition(clean[cell], earlier[cell], a_s, rhos[cell])
                weight *= transition(earlier[cell], noisy[cell], a_t / a_s, rhos[cell])
            weights[clean, earlier] = weight
        total = sum(weights.values())
        for cell in range(2):
            clean_one = sum(w for (clean, _), w in weights.items() if clean[cell]) / total
            earlier_one = sum(w for (_, earlier), w in weights.items() if earlier[cell]) / total
            found = posterior_probability(
                torch.tensor(bool(noisy[cell])),
                torch.tensor(clean_one, dtype=torch.float64),
                a_t,
                a_s,
                torch.tensor(rhos[cell], dtype=torch.float64),
            )
            assert found.item() == pytest.approx(earlier_one, abs=1e-12)


def test_evidence_turns_the_prior_into_the_posterior_of_a_cell_alone():
    process = build_process(NoiseConfig(num_timesteps=10), DENSITIES)
    prior = 0.2
    for timestep, noisy in itertools.product((0, 4, 9), (False, True)):
        kept = process.kept_at(torch.tensor([timestep]))
        cells = torch.full((1, 2, 1, 2), noisy)
        added = evidence(cells, kept, process.density)
        found = (torch.tensor(prior).logit() + added).sigmoid()
        for plane, pitch in itertools.product(range(2), repeat=2):
            rho, a = DENSITIES[plane, pitch].item(), kept.item()
            one = prior * transition(1, int(noisy), a, rho)
            zero = (1 - prior) * transition(0, int(noisy), a, rho)
            assert found[0, plane, 0, pitch].item() == pytest.approx(one / (one + zero), rel=1e-5)


def test_the_bound_of_the_exact_posterior_of_lone_cells_is_their_entropy():
    """Summed over all timesteps with the exact posterior mean it is the entropy, for cells that
    have nothing to do with each other: the reverse process is then exact."""
    prior, rho, steps = 0.2, 0.35, 12
    config = NoiseConfig(num_timesteps=steps, density="number")
    process = build_process(config, torch.full((1, 1), rho))
    total = 0.0
    for timestep, clean, noisy in itertools.product(range(steps), (0, 1), (0, 1)):
        a = float(process.kept[timestep])
        weight = (prior if clean else 1 - prior) * transition(clean, noisy, a, rho)
        one = prior * transition(1, noisy, a, rho)
        estimate = one / (one + (1 - prior) * transition(0, noisy, a, rho))
        shape = (1, 1, 1, 1)
        term = bound_terms(
            process,
            torch.full(shape, bool(clean)),
            torch.full(shape, bool(noisy)),
            torch.full(shape, estimate),
            torch.tensor([timestep]),
        )
        total += weight * term.item()
    entropy = -prior * math.log(prior) - (1 - prior) * math.log(1 - prior)
    assert total == pytest.approx(entropy, rel=1e-4)
