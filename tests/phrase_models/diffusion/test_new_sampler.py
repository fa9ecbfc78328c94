"""The recipe of docs/extending.md for a sampler: its function and its line, run as they stand."""

import re
from pathlib import Path

import pytest
import torch

from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.noise_schedule import build_noise_schedule
from phrase_models.diffusion.samplers import SAMPLERS, sampling_timesteps, song_generator

PAGE = Path(__file__).resolve().parents[3] / "docs" / "extending.md"
SHAPE = (1, 4, 3, 5)


@pytest.fixture
def sampler(monkeypatch):
    """The sampler of the page, entered under the name that its line gives."""
    section = PAGE.read_text().split("## A sampler")[1].split("\n## ")[0]
    function, line = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    entered = dict(SAMPLERS)
    names = {"SAMPLERS": entered}
    exec(function + line, names)
    (name,) = entered.keys() - SAMPLERS.keys()
    monkeypatch.setitem(SAMPLERS, name, entered[name])
    return SAMPLERS[name]


def test_the_sampler_of_the_page_draws_an_oracles_song_exactly(sampler):
    clean = torch.randn(SHAPE)
    generator = song_generator(0, 0)
    seen = []

    def oracle(noisy, timestep, estimate):
        seen.append((timestep, float((noisy - clean).std())))
        return clean

    schedule = build_noise_schedule(NoiseScheduleConfig())
    timesteps = sampling_timesteps(1000, 6)
    drawn = sampler(oracle, schedule, timesteps, lambda: torch.randn(SHAPE, generator=generator))
    assert torch.equal(drawn, clean)
    assert [timestep for timestep, _ in seen] == timesteps
    assert seen[-1][1] < 0.02
    assert seen[0][1] > 0.5
