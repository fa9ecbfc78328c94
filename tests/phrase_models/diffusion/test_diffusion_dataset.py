import json

import numpy as np
import pytest
import torch

from phrase_models.diffusion.dataset import LatentSong, SongBatches, read_dataset
from phrase_models.diffusion.plan import plan_from_layout
from phrase_models.errors import ConfigurationError
from phrase_models.normalizer import LatentNormalizer, fit_normalizer, read_normalizer


@pytest.fixture
def dataset(dataset_folder):
    return read_dataset(dataset_folder)


def test_songs_are_views_of_the_file(dataset, dataset_folder):
    rows = np.load(dataset_folder / "latents.npy")
    assert [len(song.latents) for song in dataset.songs] == [19, 17, 8, 20, 10]
    second = dataset.songs[1]
    assert np.array_equal(second.latents, rows[57:108].reshape(17, 3, 6))
    assert isinstance(second.latents.base, np.memmap | np.ndarray)
    assert second.plan.section_layout == "i1 A3 A3 x2 B4 B4"
    assert [song.song_id for song in dataset.split("validation")] == ["002"]


def test_batches_are_normalised_and_padded(dataset, make_config):
    normalizer = fit_normalizer(dataset.training_latents())
    songs = dataset.split("train")
    masked = SongBatches(songs, dataset, normalizer, make_config()).batch([3, 1])
    assert masked.latents.shape == (2, 24, 3, 6)
    assert masked.plans.bar_mask.sum(dim=1).tolist() == [10, 17]
    assert masked.latents[0, 10:].abs().sum() == 0
    expected = normalizer.normalise(np.asarray(songs[1].latents))
    assert np.array_equal(masked.latents[1, :17].numpy(), expected)
    assert masked.plans.bars_left[0, :11].tolist() == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert masked.plans.length_bucket.tolist() == [2, 2]

    padded = SongBatches(songs, dataset, normalizer, make_config("paper")).batch([3])
    assert padded.latents.shape == (1, 32, 3, 6)
    assert padded.plans.bar_mask.all()
    raw = normalizer.denormalise(padded.latents[0, 10:].numpy())
    assert np.allclose(raw, 0.5, atol=1e-6)


def test_short_batches_have_few_shapes(dataset, make_config):
    normalizer = fit_normalizer(dataset.training_latents())
    batches = SongBatches(dataset.songs, dataset, normalizer, make_config())
    assert batches.batch([2, 4]).latents.shape[1] == 16
    assert batches.batch([0]).latents.shape[1] == 24


def test_training_batches_are_functions_of_seed_and_step(dataset, make_config):
    normalizer = fit_normalizer(dataset.training_latents())
    one, two = (
        SongBatches(dataset.split("train"), dataset, normalizer, make_config()) for _ in range(2)
    )
    one.training_batch(4, 0, 3)
    first, second = one.training_batch(4, 7, 3), two.training_batch(4, 7, 3)
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.plans.bars, second.plans.bars)
    lengths = [
        int(length)
        for step in range(4)
        for length in one.training_batch(4, step, 3).plans.bar_mask.sum(dim=1)
    ]
    assert sorted(lengths) == sorted([10, 17, 19, 20] * 3)
    assert lengths[:3] != lengths[3:6] or lengths[3:6] != lengths[6:9]


def test_songs_of_a_batch_are_of_similar_length_and_an_epoch_holds_each_once(dataset, make_config):
    def song(bars):
        latents = np.zeros((bars, 3, 6), np.float32)
        return LatentSong(f"{bars}", "train", latents, plan_from_layout(None, bars))

    songs = [song(bars) for bars in range(1, 65)]
    normalizer = fit_normalizer(dataset.training_latents())
    batches = SongBatches(songs, dataset, normalizer, make_config(max_bars=64))
    for epoch in range(3):
        lengths = [
            batches.training_batch(1, 8 * epoch + step, 8).plans.bar_mask.sum(1).tolist()
            for step in range(8)
        ]
        assert sorted(bars for batch in lengths for bars in batch) == list(range(1, 65))
        assert all(max(batch) - min(batch) == 7 for batch in lengths)
        assert sorted(lengths) != lengths
        assert all(sorted(batch) != batch for batch in lengths)


def test_letters_are_renamed_alike_in_both_styles(dataset, make_config):
    normalizer = fit_normalizer(dataset.training_latents())
    batches = SongBatches(dataset.split("train"), dataset, normalizer, make_config())
    renamed = batches.training_batch(0, 0, 4).plans
    for row in range(4):
        sections = renamed.prompt[row][renamed.prompt_mask[row]]
        for _, letter, _, start in sections.tolist():
            assert int(renamed.bars[row, start, 1]) == letter
    plain = SongBatches(
        dataset.split("train"), dataset, normalizer, make_config(permute_letters=False)
    ).training_batch(0, 0, 4)
    assert not torch.equal(plain.plans.bars, renamed.bars)
    assert torch.equal(plain.plans.matching_bar, renamed.matching_bar)


def test_damaged_or_unfit_datasets_say_so(dataset, dataset_folder, make_config, tmp_path):
    for name in ("latents.npy", "dataset.json"):
        (tmp_path / name).write_bytes((dataset_folder / name).read_bytes())
    songs = json.loads((dataset_folder / "songs.json").read_text())
    songs[0]["section_layout"] = "A8"
    (tmp_path / "songs.json").write_text(json.dumps(songs))
    with pytest.raises(ConfigurationError, match="Song 000 of the dataset is damaged"):
        read_dataset(tmp_path)
    normalizer = fit_normalizer(dataset.training_latents())
    with pytest.raises(ConfigurationError, match="at most 16"):
        SongBatches(dataset.songs, dataset, normalizer, make_config(max_bars=16))


@pytest.mark.parametrize("granularity", ["scalar", "dimension", "slot"])
def test_normalising_is_undone(dataset, granularity, tmp_path):
    latents = dataset.training_latents()
    normalizer = fit_normalizer(latents, granularity)
    unit = normalizer.normalise(latents)
    assert np.allclose(normalizer.denormalise(unit), latents, atol=1e-5)
    normalizer.write(tmp_path / "normalizer.json")
    again = read_normalizer(tmp_path / "normalizer.json", *latents.shape[1:])
    assert np.array_equal(again.mean, normalizer.mean)
    assert np.array_equal(again.deviation, normalizer.deviation)
    if granularity == "slot":
        assert np.allclose(unit.mean(axis=0), 0, atol=1e-5)
        assert np.allclose(unit.std(axis=0), 1, atol=1e-4)
    if granularity == "scalar":
        assert float(unit.std()) == pytest.approx(1, abs=1e-4)


def test_a_constant_slot_keeps_the_scale_of_the_others():
    latents = np.random.default_rng(0).normal(size=(50, 2, 3)).astype(np.float32)
    latents[:, 1] = 4.0
    latents[:, :, 2] = 1.0
    normalizer = fit_normalizer(latents, "slot")
    rows = latents.reshape(-1, 3)
    assert np.allclose(normalizer.deviation[1, :2], rows.std(axis=0)[:2])
    assert normalizer.deviation[:, 2].tolist() == [1.0, 1.0]
    assert np.abs(normalizer.normalise(latents)[:, 1]).max() == 0.0
    assert isinstance(normalizer, LatentNormalizer)
