"""Nothing stays behind on the CPU when a model trains on another device.

There is no such device here, so one is made up: tensors of it have shapes, types and a device but
no values, and torch refuses to compute with tensors of two devices, as it does on a real one. That
happens in a process of its own, for a made-up device cannot be taken back. Left out is what depends
on values: the state of the score that `cpu` gives its tokens, and decoding.
"""

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

DEVICE = "pretended"


@pytest.fixture(scope="module")
def report() -> str:
    done = subprocess.run(
        [sys.executable, __file__], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_tensor_left_behind_is_noticed(report):
    assert "left behind: FakeTensorDeviceMismatchError" in report


@pytest.mark.parametrize("phase", ["infilling", "autoencoder", "vae"])
@pytest.mark.parametrize("bottleneck", ["multi_query", "pooling"])
def test_every_stage_of_phrase_vae_trains_on_another_device(report, phase, bottleneck):
    assert f"PhraseVAE {bottleneck} {phase}: {DEVICE}:0, no parameter without a gradient" in report


@pytest.mark.parametrize("preset", ["cpu", "base", "paper", "cpu with every condition"])
def test_every_denoiser_trains_on_another_device(report, preset):
    assert f"PhraseLDM {preset}: {DEVICE}:0" in report


# --------------------------------------------------------------------------- in its own process
def main() -> None:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(DEVICE)
    getattr(torch, DEVICE).get_amp_supported_dtype = lambda: [torch.bfloat16]
    with FakeTensorMode(allow_non_fake_inputs=True):
        check_mismatch()
        for bottleneck in ("multi_query", "pooling"):
            check_vae(bottleneck)
        for preset in ("cpu", "base", "paper"):
            check_denoiser(preset, preset)
        conditions = {"form_condition": True, "all_sections_bias": True, "bar_lags": (2, 4, 8)}
        conditions |= {"num_chords": 49, "given_share": 0.3, "num_layers": 2}
        check_denoiser("cpu with every condition", "cpu", **conditions)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def moved(module):
    """The module with all it holds on the device; shared parameters stay shared."""
    import torch

    seen = {}
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, value in held.items():
                if value is not None and id(value) not in seen:
                    there = torch.empty(value.shape, dtype=value.dtype, device=DEVICE)
                    seen[id(value)] = (
                        torch.nn.Parameter(there) if held is part._parameters else there
                    )
                held[name] = None if value is None else seen[id(value)]
    return module


def check_mismatch() -> None:
    import torch

    try:
        moved(torch.nn.Linear(2, 3))(torch.ones(1, 2))
    except RuntimeError as error:
        say(f"left behind: {type(error).__name__}")


def check_vae(bottleneck: str) -> None:
    import torch
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    from phrase_models.vae.model import PhraseVAE
    from tasks.settings.presets import load_preset

    config = load_preset("paper").vae.model_copy(update={"bottleneck": bottleneck})
    for phase in ("infilling", "autoencoder", "vae"):
        with unset_fake_temporarily():
            vae = PhraseVAE(config.for_phase(phase))
        moved(vae)
        tokens = torch.zeros((3, 10), dtype=torch.int64, device=DEVICE)
        logits, posterior = vae(tokens, tokens, phase, 0.0)
        loss = logits.float().logsumexp(-1).sum()
        if posterior is not None:
            loss = loss + posterior.kl_divergence(0.0).mean()
        loss.backward()
        say(f"PhraseVAE {bottleneck} {phase}: {loss.device}, {without_gradient(vae, phase)}")


def without_gradient(vae, phase: str) -> str:
    bottleneck = ("bottleneck_norm", "to_posterior", "from_latent")
    missing = [
        name
        for name, parameter in vae.named_parameters()
        if parameter.grad is None and (phase == "vae" or not name.startswith(bottleneck))
    ]
    return f"without a gradient: {missing}" if missing else "no parameter without a gradient"


def check_denoiser(name: str, preset: str, **changes: object) -> None:
    import torch
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    from phrase_models.diffusion.conditioning import collate_plans
    from phrase_models.diffusion.denoiser import Denoiser
    from phrase_models.diffusion.noise_schedule import build_noise_schedule
    from phrase_models.diffusion.objective import NoisyBatch, hide_conditions, training_loss
    from phrase_models.diffusion.plan import plan_features, plan_from_layout
    from tasks.settings.presets import load_preset

    settings = load_preset(preset)
    config, schedule = settings.denoiser.model_copy(update=changes), settings.noise_schedule
    with unset_fake_temporarily():
        songs = [plan_from_layout(layout) for layout in ("i2 A4 B4 A4 o1", "i4 A4 b2 A4 X1")]
        features = [plan_features(song.num_bars, song.sections) for song in songs]
        plans = collate_plans(features, config.max_bars, config, num_slots=3)
        denoiser, alphas = Denoiser(config, 3, 64), build_noise_schedule(schedule)
    moved(denoiser).train()
    tensors = {
        field.name: torch.empty_like(getattr(plans, field.name), device=DEVICE)
        for field in fields(plans)
    }
    clean = torch.empty(2, config.max_bars, 3, 64, device=DEVICE)
    timesteps = torch.zeros(2, dtype=torch.int64, device=DEVICE)
    hidden = hide_conditions(replace(plans, **tensors), config)
    noisy = NoisyBatch(clean, torch.empty_like(clean), timesteps, hidden, num_estimated=1)
    if changes:
        alphas = alphas.to(torch.device(DEVICE))
    loss = training_loss(denoiser, alphas, schedule, noisy)["loss"]
    loss.backward()
    say(f"PhraseLDM {name}: {loss.device}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
    sys.stdout.flush()
    os._exit(0)  # threads of a made-up device may abort the process when it ends by itself
