"""A small corpus of rolls, and models of it that learnt nothing or little."""

from pathlib import Path

import numpy as np
import pytest

from phrase_models.binomial.config import (
    NoiseConfig,
    ObjectiveConfig,
    RollConfig,
    TimeNetworkConfig,
)
from phrase_models.binomial.dataset import RollDataset, RollSong, read_dataset, write_dataset
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.rolls import pack_bars, song_to_roll
from phrase_models.sources.synthetic.composer import SyntheticConfig, compose_song

SMALL = TimeNetworkConfig(step_dim=16, beat_dim=16, bar_dim=16, num_bar_layers=1, num_heads=2)
ROLL = RollConfig(lowest_pitch=48, num_pitches=32, segment_bars=4)
MAX_BARS = 12


@pytest.fixture(scope="session")
def roll_folder(tmp_path_factory) -> Path:
    """Rolls of six composed songs, the last one held out and one shorter than a segment."""
    config = SyntheticConfig(num_songs=6, seed=0, min_bars=8, max_bars=MAX_BARS)
    folder, first = tmp_path_factory.mktemp("rolls"), 0
    rows, songs = [], []
    for index in range(6):
        song = compose_song(config, index).song
        roll = song_to_roll(song, ROLL)[0][:, : 48 if index == 1 else None]
        rows.append(pack_bars(roll))
        songs.append(
            RollSong(
                song_id=song.song_id,
                split="validation" if index == 5 else "train",
                first_row=first,
                num_bars=len(rows[-1]),
            )
        )
        first += len(rows[-1])
    write_dataset(folder, ROLL, np.concatenate(rows), songs)
    return folder


@pytest.fixture(scope="session")
def dataset(roll_folder) -> RollDataset:
    return read_dataset(roll_folder)


@pytest.fixture
def model(dataset) -> BinomialDiffusion:
    """Fresh weights, the same every time."""
    noise = NoiseConfig(num_timesteps=20)
    made = BinomialDiffusion.for_dataset(dataset, noise, SMALL, ObjectiveConfig(), seed=0)
    made.network.eval()
    return made


@pytest.fixture
def restless(model) -> BinomialDiffusion:
    """A model whose network says something of every cell, about everything it is told."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model
