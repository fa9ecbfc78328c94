"""A release of binomial diffusion: what is in it, how large it may be, and that it writes songs."""

import pytest
import torch

from phrase_models.binomial.config import (
    BinomialConfig,
    BinomialSamplerConfig,
    RollConfig,
    TimeNetworkConfig,
)
from phrase_models.binomial.model import BinomialDiffusion, KnownLayout
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.generator import SongRequest
from phrase_models.generators import from_pretrained
from tasks.music.songs import BINOMIAL, find_models
from tasks.reports.binomial_release import RELEASE_FILES, assemble_binomial


@pytest.fixture
def model() -> BinomialDiffusion:
    torch.manual_seed(0)
    network = TimeNetworkConfig(step_dim=8, beat_dim=8, bar_dim=8, num_bar_layers=1, num_heads=2)
    config = BinomialConfig(roll=RollConfig(segment_bars=4), network=network)
    densities = torch.full((config.roll.num_planes, config.roll.num_pitches), 0.02)
    return BinomialDiffusion(config, densities, [KnownLayout(5, "A5")])


def test_a_release_writes_songs_without_a_store(model, tmp_path):
    folder = tmp_path / "release"
    sampler = BinomialSamplerConfig(num_sampling_steps=3)
    sentence = assemble_binomial(model, "# Card", folder, sampler=sampler)
    assert "weights in bf16" in sentence
    assert {path.name for path in folder.iterdir()} == RELEASE_FILES
    generator = from_pretrained(folder)
    assert generator.name == "binomial"
    assert generator.sampler == sampler
    song = generator.generate(SongRequest(), 0, 0)
    assert song.song.num_bars == 5
    assert song.request.section_layout == "A5"
    assert song.song.num_notes > 0
    few = from_pretrained(folder, SamplerConfig(num_sampling_steps=2))
    assert few.sampler.num_sampling_steps == 2


def test_the_command_finds_a_release_by_what_is_in_it(model, tmp_path):
    folder = tmp_path / "release"
    assemble_binomial(model, "# Card", folder, sampler=BinomialSamplerConfig(num_sampling_steps=3))
    for generator in ("phrase_ldm", BINOMIAL):
        models = find_models(tmp_path / "no-store", folder, generator)
        assert "binomial diffusion in" in models.words
        assert models.sampler.num_sampling_steps == 3


def test_another_folder_is_not_overwritten(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"holds notes.txt and is no release"):
        assemble_binomial(model, "# Card", tmp_path)
