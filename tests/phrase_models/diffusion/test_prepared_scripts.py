"""What the prepared training scripts write is what the models read."""

import numpy as np

from benchmarks.gpu_headline import write_dataset
from benchmarks.train_on import changed
from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.dataset import read_dataset
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.form.song_form import CellState
from phrase_models.score.chords import UNKNOWN_CHORD
from phrase_models.tokens import vocabulary

EMPTY = [vocabulary.EMPTY_SLOT]
PHRASE = [
    vocabulary.program_id(0),
    vocabulary.onset_id(0),
    vocabulary.pitch_id(60),
    vocabulary.duration_id(12),
]


def written_dataset(folder):
    songs = [
        {"song_id": "a", "split": "train", "first_bar": 0, "num_bars": 3, "section_layout": "A3"},
        {"song_id": "b", "split": "train", "first_bar": 3, "num_bars": 2, "section_layout": "i2"},
    ]
    phrases = [PHRASE, EMPTY, PHRASE] * 5
    chords = np.array([[0, 1], [2, UNKNOWN_CHORD], [4, 5], [6, 7], [8, 48]], np.int64)
    latents = np.arange(15 * 4, dtype=np.float32).reshape(15, 4)
    write_dataset(folder, songs, phrases, chords, latents, latents[:2], {})
    return read_dataset(folder), latents, chords


def test_a_dataset_of_packed_songs_is_read_back(tmp_path):
    dataset, latents, chords = written_dataset(tmp_path)
    assert [song.song_id for song in dataset.songs] == ["a", "b"]
    assert np.array_equal(dataset.songs[1].latents, latents[9:].reshape(2, 3, 4))
    assert np.array_equal(dataset.songs[0].plan.chords, chords[:3])
    assert np.array_equal(dataset.songs[1].plan.chords, chords[3:])
    states = dataset.songs[0].plan.form.states
    assert (states[:, 1] == CellState.SILENT).all()
    assert (states[:, [0, 2]] != CellState.SILENT).all()


def test_a_model_is_trained_on_with_its_weights_under_another_loss(tmp_path, make_form_config):
    dataset, _, _ = written_dataset(tmp_path)
    schedule = NoiseScheduleConfig(prediction="sample")
    model = PhraseLDM.for_dataset(dataset, make_form_config(), schedule, seed=1)
    other = changed(model, 0.3, {"skip_variance": 0.05, "snr_weight_limit": 30.0})
    assert other.config.noise_schedule.skip_variance == 0.05
    assert other.schedule.skip_variance == 0.05
    assert other.config.denoiser.dropout == 0.3
    assert {m.p for m in other.denoiser.modules() if type(m).__name__ == "Dropout"} == {0.3}
    assert other.denoiser is model.denoiser
    assert other.length_prior == model.length_prior
