"""Both samplers on a toy whose distribution is known, and with a denoiser that knows the roll."""

import itertools

import pytest
import torch

from phrase_models.binomial.config import NoiseConfig
from phrase_models.binomial.process import build_process
from phrase_models.binomial.samplers import SAMPLERS, THRESHOLD
from phrase_models.diffusion.samplers import sampling_timesteps

JOINT = {(0, 0): 0.55, (0, 1): 0.05, (1, 0): 0.1, (1, 1): 0.3}
RHO = 0.25
NUM_ROLLS = 40_000


def process(num_timesteps=100, density=RHO, schedule="linear"):
    config = NoiseConfig(num_timesteps=num_timesteps, density="number", schedule=schedule)
    return build_process(config, torch.full((1, 1), density))


def exact_posterior_mean(toy):
    """P(x_0 = 1 | x_t) of either cell, by enumeration; rolls are (num rolls, 2)."""

    def denoise(noisy, timestep):
        a = float(toy.kept[timestep])
        joint = torch.zeros(len(noisy), 2, 2)
        for clean, probability in JOINT.items():
            weight = torch.full((len(noisy),), probability)
            for cell in range(2):
                one = a * clean[cell] + (1 - a) * RHO
                weight = weight * torch.where(noisy[:, cell], one, 1 - one)
            joint[:, clean[0], clean[1]] = weight
        joint = joint / joint.sum(dim=(1, 2), keepdim=True)
        return torch.stack((joint[:, 1].sum(1), joint[:, :, 1].sum(1)), dim=1)

    return denoise


def drawn_shares(name, toy, num_steps):
    generator = torch.Generator().manual_seed(1)
    timesteps = sampling_timesteps(toy.num_timesteps, num_steps)
    estimate = SAMPLERS[name](
        exact_posterior_mean(toy),
        toy,
        timesteps,
        lambda: torch.rand((NUM_ROLLS, 2), generator=generator),
        None,
    )
    rolls = estimate >= THRESHOLD
    return {
        pair: (rolls == torch.tensor(pair, dtype=torch.bool)).all(dim=1).float().mean().item()
        for pair in itertools.product((0, 1), repeat=2)
    }


def test_the_exact_posterior_draws_the_toys_distribution():
    shares = drawn_shares("posterior", process(400), 400)
    assert shares == pytest.approx(JOINT, abs=0.012)


def test_few_steps_come_near_and_one_step_knows_no_pairs():
    """Cells of one step are drawn apart, so what they have with each other comes of many steps."""
    total = {}
    for steps in (2, 5, 25, 100):
        found = drawn_shares("posterior", process(100), steps)
        total[steps] = sum(abs(share - JOINT[pair]) for pair, share in found.items()) / 2
    assert total[100] < 0.02
    assert total[25] < 0.05
    assert total[100] < total[5] < total[2]


def test_the_released_sampler_is_no_sampler_of_the_distribution():
    """It follows the median: pairs that are rare on both sides never come."""
    shares = drawn_shares("released", process(100), 100)
    distance = sum(abs(share - JOINT[pair]) for pair, share in shares.items()) / 2
    assert distance > 0.05


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("num_steps", [1, 25, 100])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_denoiser_that_knows_the_roll_leaves_no_wrong_cell(name, num_steps, schedule):
    """The released code left 13.5 wrong cells of 21,504 at the density of .032."""
    generator = torch.Generator().manual_seed(2)
    clean = torch.rand((1, 384, 56), generator=generator) < 0.032
    toy = process(100, 0.032, schedule)
    timesteps = sampling_timesteps(100, num_steps)
    estimate = SAMPLERS[name](
        lambda noisy, timestep: clean.float(),
        toy,
        timesteps,
        lambda: torch.rand(clean.shape, generator=generator),
        None,
    )
    assert ((estimate >= THRESHOLD) != clean).sum() == 0


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_timestep_is_told_the_noise_that_there_is(name):
    """The share of a roll's cells that differ from the clean roll is that of the timestep."""
    generator = torch.Generator().manual_seed(3)
    clean = torch.rand((1, 2000, 50), generator=generator) < 0.3
    toy, seen = process(20, 0.3), {}

    def denoise(noisy, timestep):
        seen[timestep] = (noisy != clean).float().mean().item()
        return clean.float()

    draw = lambda: torch.rand(clean.shape, generator=generator)  # noqa: E731
    SAMPLERS[name](denoise, toy, sampling_timesteps(20, 20), draw, None)
    for timestep, share in seen.items():
        assert share == pytest.approx((timestep + 1) / 20 * 2 * 0.3 * 0.7, abs=0.01)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_start_is_noised_to_the_first_timestep(name):
    generator = torch.Generator().manual_seed(4)
    start = torch.rand((1, 2000, 50), generator=generator) < 0.3
    toy, seen = process(20, 0.3), []

    def denoise(noisy, timestep):
        seen.append((noisy != start).float().mean().item())
        return start.float()

    draw = lambda: torch.rand(start.shape, generator=generator)  # noqa: E731
    SAMPLERS[name](denoise, toy, [9, 0], draw, start)
    assert seen[0] == pytest.approx(10 / 20 * 2 * 0.3 * 0.7, abs=0.01)
