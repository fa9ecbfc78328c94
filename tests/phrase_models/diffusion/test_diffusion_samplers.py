import math

import pytest
import torch

from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.guidance import clipped, guided
from phrase_models.diffusion.noise_schedule import build_noise_schedule
from phrase_models.diffusion.samplers import (
    SAMPLERS,
    renoised,
    sampling_timesteps,
    song_generator,
)

SCHEDULES = {
    "base": build_noise_schedule(NoiseScheduleConfig()),
    "paper": build_noise_schedule(NoiseScheduleConfig(prediction="noise", zero_terminal_snr=False)),
}


def noise_source(seed=3, shape=(1, 4, 3, 5)):
    generator = song_generator(seed, 0)
    return lambda: torch.randn(shape, generator=generator)


def test_timesteps_fall_from_the_last_to_the_first():
    assert sampling_timesteps(1000, 5) == [999, 749, 500, 250, 0]
    assert sampling_timesteps(1000, 2000) == list(range(999, -1, -1))
    assert sampling_timesteps(1000, 1) == [999]


def test_timesteps_of_a_later_start():
    assert sampling_timesteps(1000, 3, 0.5) == [500, 250, 0]
    assert sampling_timesteps(1000, 8, 0.004) == [4, 3, 2, 1, 0]
    assert sampling_timesteps(1000, 1, 0.25) == [250]


def test_the_first_draw_is_a_song_with_noise_and_the_others_noise_alone():
    schedule, clean = SCHEDULES["base"], torch.full((1, 4, 3, 5), 2.0)
    draw, noise = renoised(clean, schedule, 400, noise_source()), noise_source()
    alpha, sigma = float(schedule.alphas[400]), float(schedule.sigmas[400])
    assert torch.equal(draw(), alpha * clean + sigma * noise())
    assert torch.equal(draw(), noise())
    assert torch.equal(draw(), noise())


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
@pytest.mark.parametrize("solver", SAMPLERS)
@pytest.mark.parametrize("num_steps", [1, 2, 20])
def test_an_oracle_is_recovered_exactly(solver, schedule, num_steps):
    clean = torch.randn(1, 4, 3, 5)
    seen = []

    def oracle(noisy, timestep, estimate):
        seen.append(noisy)
        return clean

    timesteps = sampling_timesteps(1000, num_steps)
    result = SAMPLERS[solver](oracle, schedule, timesteps, noise_source())
    assert torch.equal(result, clean)
    assert len(seen) == num_steps
    assert all(torch.isfinite(noisy).all() for noisy in seen)
    if num_steps == 20:  # what the oracle saw last is nearly clean
        assert float((seen[-1] - clean).std()) < 0.02


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
@pytest.mark.parametrize(
    ("solver", "num_steps", "tolerance"),
    [
        ("ddim", 20, 0.08),
        ("ddim", 1000, 0.002),
        ("dpm_solver", 10, 0.03),
        ("dpm_solver", 20, 0.001),
        ("dpm_solver", 200, 0.0003),
    ],
)
def test_deterministic_solvers_follow_the_exact_flow(solver, num_steps, tolerance, schedule):
    """For normal latents of deviation s the flow is known: x_0 = s x_T, up to the ends' levels."""
    deviation = 0.5

    def exact(noisy, timestep, estimate):
        alpha, sigma = float(schedule.alphas[timestep]), float(schedule.sigmas[timestep])
        total = alpha**2 * deviation**2 + sigma**2
        return alpha * deviation**2 / total * noisy

    draw = noise_source()
    timesteps = sampling_timesteps(1000, num_steps)
    result = SAMPLERS[solver](exact, schedule, timesteps, draw)
    start = noise_source()()
    assert float((result / start / deviation - 1).abs().max()) < tolerance


@pytest.mark.parametrize(("solver", "num_steps"), [("ddpm", 250), ("sde_dpm_solver", 40)])
def test_stochastic_sampling_has_the_right_spread(solver, num_steps):
    schedule, deviation = SCHEDULES["base"], 0.5

    def exact(noisy, timestep, estimate):
        alpha, sigma = float(schedule.alphas[timestep]), float(schedule.sigmas[timestep])
        return alpha * deviation**2 / (alpha**2 * deviation**2 + sigma**2) * noisy

    draw = noise_source(shape=(1, 100, 10, 10))
    result = SAMPLERS[solver](exact, schedule, sampling_timesteps(1000, num_steps), draw)
    assert float(result.std()) == pytest.approx(deviation, rel=0.03)


def test_fresh_noise_heals_what_went_wrong_before():
    """A wrong first half: without fresh noise its error stays, with it most is gone."""
    schedule, deviation = SCHEDULES["base"], 0.5

    def wrong_at_first(noisy, timestep, estimate):
        alpha, sigma = float(schedule.alphas[timestep]), float(schedule.sigmas[timestep])
        exact = alpha * deviation**2 / (alpha**2 * deviation**2 + sigma**2) * noisy
        return exact + 1.0 if timestep > 500 else exact

    shape, timesteps = (1, 100, 10, 10), sampling_timesteps(1000, 40)
    bias = {
        solver: float(
            SAMPLERS[solver](wrong_at_first, schedule, timesteps, noise_source(shape=shape)).mean()
        )
        for solver in ("dpm_solver", "sde_dpm_solver")
    }
    assert bias["dpm_solver"] > 2 * bias["sde_dpm_solver"] > 0


GOLDEN = {
    "ddpm": [22.67199, 10.8027, 0.3535374],
    "ddim": [20.22125, 12.46658, 0.5077325],
    "dpm_solver": [18.8051, 11.03884, 0.4745159],
    "sde_dpm_solver": [20.46992, 9.205326, 0.3754752],
}


@pytest.mark.parametrize("solver", SAMPLERS)
def test_golden_figures_of_a_dummy(solver):
    def dummy(noisy, timestep, estimate):
        before = 0.0 if estimate is None else 0.1 * estimate
        return torch.tanh(0.7 * noisy + timestep / 1000) + before

    result = SAMPLERS[solver](
        dummy, SCHEDULES["base"], sampling_timesteps(1000, 12), noise_source()
    )
    figures = [float(result.sum()), float(result.square().sum()), float(result[0, 2, 1, 3])]
    assert figures == pytest.approx(GOLDEN[solver], rel=1e-5)


def test_song_generators_differ_by_song_and_seed_alone():
    def draw(seed, index):
        return torch.randn(3, generator=song_generator(seed, index)).tolist()

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2) == pytest.approx([0.3637817, 1.4324087, -1.6114967])
    assert len({tuple(draw(*pair)) for pair in [(1, 2), (2, 1), (1, 3), (12, 0)]}) == 4


def test_guidance_extrapolates_within_its_interval():
    conditional = lambda noisy, timestep, estimate: noisy + 2  # noqa: E731
    unconditional = lambda noisy, timestep, estimate: noisy + 1  # noqa: E731
    denoise = guided(conditional, unconditional, 3.0, lambda timestep: timestep < 500)
    start = torch.zeros(1)
    assert denoise(start, 100, None).item() == 4.0
    assert denoise(start, 900, None).item() == 2.0
    assert guided(conditional, unconditional, 1.0) is conditional


def test_clipping():
    double = lambda noisy, timestep, estimate: 2 * noisy  # noqa: E731
    assert clipped(double, 3.0)(torch.tensor([-5.0, 1.0]), 0, None).tolist() == [-3.0, 2.0]
    assert clipped(double, None) is double


def test_final_level_is_clean():
    assert math.isclose(float(SCHEDULES["base"].sigmas[0]), 0.0064, abs_tol=5e-4)
