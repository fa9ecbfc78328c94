import pytest
import torch
from pydantic import ValidationError

from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.noise_schedule import (
    add_noise,
    build_noise_schedule,
    error_weights,
    min_snr_weights,
    predicted_sample,
    prediction_target,
)


def test_paper_schedule_is_the_cosine_schedule():
    schedule = build_noise_schedule(
        NoiseScheduleConfig(prediction="noise", zero_terminal_snr=False, min_snr_gamma=None)
    )
    # cos^2 at t and t + 1 of 1000 with offset 0.008, by hand; betas capped at 0.999.
    assert float(schedule.alphas[0] ** 2) == pytest.approx(0.9999587, abs=1e-7)
    assert float(schedule.alphas[499] ** 2) == pytest.approx(0.4938437, abs=1e-6)
    assert float(schedule.alphas[999] ** 2) == pytest.approx(2.43e-9, rel=0.01)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_levels_preserve_variance_and_fall(scale):
    schedule = build_noise_schedule(NoiseScheduleConfig(snr_scale=scale))
    assert torch.allclose(schedule.alphas**2 + schedule.sigmas**2, torch.ones(1000).double())
    assert (schedule.alphas.diff() < 0).all()
    assert float(schedule.alphas[-1]) == 0.0
    assert float(schedule.sigmas[-1]) == 1.0


def test_snr_scale_multiplies_the_ratio():
    plain = build_noise_schedule(NoiseScheduleConfig())
    noisier = build_noise_schedule(NoiseScheduleConfig(snr_scale=0.25))
    ratio = (plain.alphas / plain.sigmas)[:-1] ** 2
    scaled = (noisier.alphas / noisier.sigmas)[:-1] ** 2
    assert torch.allclose(scaled / ratio, torch.full((999,), 0.25).double())


@pytest.mark.parametrize("prediction", ["noise", "velocity", "sample"])
def test_the_target_stands_for_the_clean_latents(prediction):
    clean, noise = torch.randn(2, 4, 3, 2, 5).double()
    config = NoiseScheduleConfig(prediction=prediction, zero_terminal_snr=False)
    schedule = build_noise_schedule(config)
    timesteps = torch.tensor([0, 300, 600, 950])
    alpha = schedule.alphas[timesteps].view(-1, 1, 1, 1)
    sigma = schedule.sigmas[timesteps].view(-1, 1, 1, 1)
    noisy = add_noise(clean, noise, alpha, sigma)
    target = prediction_target(prediction, clean, noise, alpha, sigma)
    recovered = predicted_sample(schedule, target, noisy, alpha, sigma)
    assert torch.allclose(recovered, clean, atol=1e-12)


def test_what_skip_variance_mixes_is_the_best_mean_of_two_estimates():
    variance = 0.05
    config = NoiseScheduleConfig(prediction="sample", skip_variance=variance)
    schedule = build_noise_schedule(config)
    clean, noise, error = torch.randn(3, 200_000, generator=torch.Generator().manual_seed(0))
    for timestep in (30, 140, 400):
        alpha, sigma = float(schedule.alphas[timestep]), float(schedule.sigmas[timestep])
        output = clean + variance**0.5 * error
        noisy = alpha * clean + sigma * noise
        estimate = predicted_sample(
            schedule, output, noisy, torch.tensor(alpha), torch.tensor(sigma)
        )
        mean_error = float((estimate - clean).square().mean())
        other = sigma**2 / alpha**2
        assert mean_error == pytest.approx(variance * other / (variance + other), rel=0.02)


def test_at_the_ends_one_of_the_two_estimates_is_all():
    schedule = build_noise_schedule(NoiseScheduleConfig(prediction="sample", skip_variance=0.05))
    output, noisy = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 5.0])
    one, none = torch.tensor(1.0), torch.tensor(0.0)
    assert torch.equal(predicted_sample(schedule, output, noisy, none, one), output)
    assert torch.equal(predicted_sample(schedule, output, noisy, one, none), noisy)


def test_weights_of_an_error_of_x0_are_those_of_the_velocity_up_to_a_limit():
    config = NoiseScheduleConfig(prediction="sample", snr_weight_limit=3.0)
    alpha = torch.tensor([0.9, 0.5**0.5, 0.3, 0.0]).double()
    sigma = (1 - alpha**2).sqrt()
    assert error_weights(config, alpha, sigma).tolist() == pytest.approx([3.0, 2.0, 1 / 0.91, 1.0])


@pytest.mark.parametrize("setting", [{"skip_variance": 0.05}, {"snr_weight_limit": 9.0}])
def test_what_is_for_the_sample_is_refused_elsewhere(setting):
    with pytest.raises(ValidationError, match="set prediction to 'sample' instead of 'velocity'"):
        NoiseScheduleConfig(**setting)


def test_min_snr_weights():
    alpha = torch.tensor([0.9, 0.5**0.5, 0.3, 0.0]).double()
    sigma = (1 - alpha**2).sqrt()
    ratio = (alpha / sigma) ** 2
    assert float(ratio[1]) == pytest.approx(1.0)
    velocity = min_snr_weights("velocity", alpha, sigma, 2.0)
    assert velocity.tolist() == pytest.approx([2 / (float(ratio[0]) + 1), 0.5, 0.09, 0.0])
    noise = min_snr_weights("noise", alpha, sigma, 2.0)
    assert noise.tolist() == pytest.approx([2 / float(ratio[0]), 1.0, 1.0, 1.0])
    sample = min_snr_weights("sample", alpha, sigma, 2.0)
    assert sample.tolist() == pytest.approx([2.0, 1.0, 0.09 / 0.91, 0.0])
    assert min_snr_weights("velocity", alpha, sigma, None).tolist() == [1.0] * 4


def test_noise_cannot_be_predicted_from_pure_noise():
    with pytest.raises(ValidationError, match="zero terminal SNR"):
        NoiseScheduleConfig(prediction="noise")
