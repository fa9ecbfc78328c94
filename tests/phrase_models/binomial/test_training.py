"""Networks, model, training and its folder."""

import pytest
import torch

from phrase_models.binomial.config import (
    BinomialConfig,
    BinomialSamplerConfig,
    NoiseConfig,
    ObjectiveConfig,
    RollConfig,
    TimeNetworkConfig,
    UNetConfig,
)
from phrase_models.binomial.dataset import SegmentBatches, held_out_segments, read_dataset
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.network import PAST_END, RollCondition, build_network, song_places
from phrase_models.binomial.pretrained import load_binomial, load_sampler, save_binomial
from phrase_models.binomial.process import evidence
from phrase_models.binomial.training import BinomialTraining, within_song
from phrase_models.errors import ConfigurationError
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import TrainingRun, fit

TRAINING = TrainingConfig(
    num_steps=30, batch_size=8, learning_rate=5e-3, warmup_steps=2,
    validate_every=30, checkpoint_every=10,
)  # fmt: skip
SMALL = TimeNetworkConfig(step_dim=16, beat_dim=16, bar_dim=16, num_bar_layers=1, num_heads=2)
SMALL_UNET = UNetConfig(dim=8, multipliers=(1, 2))


def condition_of(cells: torch.Tensor, num_bars: int) -> RollCondition:
    empty = torch.zeros_like(cells)
    return RollCondition(empty, empty, song_places(num_bars).expand(len(cells), -1, -1))


def test_the_networks_have_the_sizes_they_are_meant_to_have():
    def count(config: BinomialConfig) -> int:
        return sum(parameter.numel() for parameter in build_network(config).parameters())

    reference = BinomialConfig(
        roll=RollConfig(voices="flattened", cells="sounding", lowest_pitch=36, num_pitches=56),
        network=UNetConfig(),
        objective=ObjectiveConfig(known_share=0.0),
    )
    assert count(reference) == 10_503_073  # as the released code's
    assert 2 * count(BinomialConfig()) < 15.5 * 2**20  # bytes of a release


@pytest.mark.parametrize("network", [SMALL, SMALL_UNET])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_network_gives_a_number_for_every_cell_and_hears_all_it_is_told(network, share):
    roll = RollConfig(num_pitches=32, segment_bars=4)
    config = BinomialConfig(
        roll=roll, network=network, objective=ObjectiveConfig(known_share=share)
    )
    torch.manual_seed(0)
    net = build_network(config)
    for parameter in net.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    cells = torch.rand(2, 6, 64, 32) < 0.1
    times, condition = torch.tensor([0.2, 0.2]), condition_of(cells, 4)

    def told(*what: object) -> torch.Tensor:
        with torch.no_grad():
            given: torch.Tensor = net(*what)
        return given

    def differs(one: torch.Tensor, other: torch.Tensor) -> bool:
        return not torch.allclose(one, other, atol=1e-4)

    plain = told(cells, times, condition)
    assert plain.shape == cells.shape
    assert differs(told(~cells, times, condition), plain)
    assert differs(told(cells, times + 0.5, condition), plain)
    known = RollCondition(cells | ~cells, cells, condition.places)
    assert differs(told(cells, times, known), plain) == (share > 0)
    places = song_places(64, 30, 4).expand(2, -1, -1)
    other = RollCondition(condition.mask, condition.values, places)
    assert differs(told(cells, times, other), plain) == (network is SMALL)


def test_an_untrained_model_is_the_posterior_of_cells_that_stand_alone(model):
    cells = torch.rand(2, 6, 64, 32) < 0.1
    timesteps = torch.tensor([3, 19])
    with torch.no_grad():
        output = model.output(cells, timesteps, condition_of(cells, 4))
    process = model.process
    added = evidence(cells, process.kept_at(timesteps), process.density)
    expected = model.densities.logit()[:, None] + added
    assert torch.allclose(output, expected, atol=1e-5)
    prior = model.probability(output)[1]  # pure noise says nothing
    assert torch.allclose(prior, model.densities[:, None].expand(prior.shape), rtol=1e-4)


def test_densities_are_the_shares_of_the_training_songs(dataset):
    rolls = [dataset.roll(song) for song in dataset.split("train")]
    ones = sum(int(roll[4, :, 10].sum()) for roll in rolls)
    steps = sum(roll.shape[1] for roll in rolls)
    assert dataset.densities()[4, 10].item() == pytest.approx((ones + 0.5) / (steps + 1))


def test_segments_begin_at_bars_and_are_padded_where_the_song_is_short(dataset):
    batch = SegmentBatches(dataset, batch_size=64, seed=0).batch(3)
    again = SegmentBatches(dataset, batch_size=64, seed=0).batch(3)
    assert torch.equal(batch.cells, again.cells)
    assert batch.cells.shape == (64, 6, 64, 32)
    short = batch.places[:, 3, 0] == PAST_END
    assert 0 < short.sum() < 64
    within = within_song(batch.places)
    assert within[short][:, 0, 48:].sum() == 0
    assert not (batch.cells & ~within).any()
    song, first = held_out_segments(dataset, 10)[0]
    assert song.split == "validation"
    assert first == 0


def test_places_count_bars_from_both_ends():
    assert song_places(40, 38, 3).tolist() == [[32, 1], [32, 0], [PAST_END, PAST_END]]
    assert song_places(2).tolist() == [[0, 1], [1, 0]]


def training_of(dataset, network, objective, num_steps) -> tuple[BinomialTraining, TrainingConfig]:
    training = TRAINING.model_copy(update={"num_steps": num_steps})
    model = BinomialDiffusion.for_dataset(
        dataset, NoiseConfig(num_timesteps=20), network, objective, seed=0
    )
    return BinomialTraining(model, dataset, training), training


@pytest.mark.parametrize(("network", "num_steps"), [(SMALL, 20), (SMALL_UNET, 5)])
def test_training_lowers_the_held_out_loss(dataset, tmp_path, network, num_steps):
    trainable, training = training_of(dataset, network, ObjectiveConfig(), num_steps)
    before = trainable.validate()
    assert set(before) == {"score", "bce", "bound", "harmony_bce"}
    assert before["score"] == pytest.approx(192 * before["bce"], rel=1e-4)
    fit(trainable, training, tmp_path)
    after = trainable.validate()
    assert after["score"] < before["score"]
    assert trainable.validate() == after


def test_the_absolute_error_of_silence_is_the_density(dataset):
    """A fresh network writes zeros, and the loss of a sixteenth is then the cells that sound."""
    trainable, _ = training_of(dataset, SMALL, ObjectiveConfig(loss="l1"), 1)
    songs = [dataset.roll(song, first, 4) for song, first in trainable.held_out]
    mean = sum(int(roll.sum()) for roll in songs) / (len(songs) * 64)
    assert trainable.validate()["score"] == pytest.approx(mean, rel=1e-5)
    batch = trainable.batch(0)
    whole = trainable.loss(batch, slice(None))["loss"].item()
    parts = [trainable.loss(batch, slice(index, None, 3))["loss"].item() for index in range(3)]
    assert whole > 0
    assert sum(parts) == pytest.approx(whole, rel=1e-5)


def test_a_resumed_training_ends_with_the_same_weights(dataset, tmp_path):
    def train(state, num_steps):
        training = TRAINING.model_copy(update={"num_steps": 6, "checkpoint_every": 3})
        model = BinomialDiffusion.for_dataset(
            dataset, NoiseConfig(num_timesteps=20), SMALL, ObjectiveConfig(), seed=0
        )
        trainable = BinomialTraining(model, dataset, training)
        if num_steps == 6:
            fit(trainable, training, state)
        else:
            run = TrainingRun(trainable, training, state)
            for _ in range(num_steps):
                run.train_step()
            run.save()
        return model.network.state_dict()

    whole = train(tmp_path / "whole", 6)
    train(tmp_path / "resumed", 3)
    resumed = train(tmp_path / "resumed", 6)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_model_comes_back_from_its_folder(restless, tmp_path):
    sampler = BinomialSamplerConfig(num_sampling_steps=7, precision="bf16")
    save_binomial(restless, tmp_path, sampler)
    again = load_binomial(tmp_path)
    assert again.config == restless.config
    assert torch.equal(again.densities, restless.densities)
    assert again.layouts == restless.layouts
    assert load_sampler(tmp_path) == sampler
    for name, tensor in restless.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], tensor)


def test_folders_that_do_not_do_are_one_sentence(model, tmp_path):
    with pytest.raises(ConfigurationError, match="There is no binomial diffusion in"):
        load_binomial(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="There are no piano rolls in"):
        read_dataset(tmp_path / "none")
    save_binomial(model, tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"BinomialDiffusion"', '"Other"'))
    with pytest.raises(ConfigurationError, match="is no binomial diffusion but Other"):
        load_binomial(tmp_path)
