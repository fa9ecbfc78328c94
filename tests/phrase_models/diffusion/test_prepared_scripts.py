"""What the prepared training scripts write is what the models read."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.drawn_plans import read_plans, write_plans
from benchmarks.gpu_headline import write_dataset
from benchmarks.match_decoder import distinct_cells
from benchmarks.train_on import changed
from benchmarks.transposed_songs import OTHER_KEYS, TransposedBatches, songs_in_other_keys
from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.dataset import LatentSong, read_dataset
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.plan import SongPlan
from phrase_models.form.song_form import CellState
from phrase_models.form.texture import texture_of_slots
from phrase_models.score.chords import UNKNOWN_CHORD, chord_id
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


def test_what_a_bare_gpu_machine_runs_needs_neither_the_orchestrator_nor_midi():
    code = "import sys, benchmarks.gpu_headline; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"prefect", "mlflow", "polars", "pyarrow", "miditoolkit", "mido"}
    assert "torch" in loaded


def test_a_dataset_of_packed_songs_is_read_back(tmp_path):
    dataset, latents, chords = written_dataset(tmp_path)
    assert [song.song_id for song in dataset.songs] == ["a", "b"]
    assert np.array_equal(dataset.songs[1].latents, latents[9:].reshape(2, 3, 4))
    assert np.array_equal(dataset.songs[0].plan.chords, chords[:3])
    assert np.array_equal(dataset.songs[1].plan.chords, chords[3:])
    states = dataset.songs[0].plan.form.states
    assert (states[:, 1] == CellState.SILENT).all()
    assert (states[:, [0, 2]] != CellState.SILENT).all()
    assert np.array_equal(
        dataset.songs[1].plan.texture, texture_of_slots([[PHRASE, EMPTY, PHRASE]] * 2)
    )


def test_plans_that_travel_are_read_back(tmp_path):
    dataset, _, _ = written_dataset(tmp_path / "dataset")
    plans = {f"7-{index}": song.plan for index, song in enumerate(dataset.songs)}
    write_plans(tmp_path / "plans", plans)
    assert read_plans(tmp_path / "plans") == plans
    assert [plan.num_bars for plan in plans.values()] == [3, 2]


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


def test_songs_in_other_keys_are_moved_with_their_chords_and_textures():
    numbers = {}

    class Codec:
        """The latent of a phrase is its number, and what it was is kept."""

        def encode_phrases(self, phrases):
            for phrase in phrases:
                numbers.setdefault(tuple(phrase), float(len(numbers)))
            return np.array([[numbers[tuple(phrase)]] * 4 for phrase in phrases], np.float32)

    slots = [PHRASE, EMPTY, PHRASE] * 2
    plan = SongPlan(
        2,
        chords=np.array([[chord_id(0, 0), 0], [UNKNOWN_CHORD, chord_id(11, 1)]]),
        texture=texture_of_slots([slots[:3], slots[3:]]),
    )
    song = LatentSong("a", "train", np.zeros((2, 3, 4), np.float32), plan)
    moved = songs_in_other_keys([song], [slots], Codec())
    assert len(moved) == len(OTHER_KEYS) == 11
    by_key = dict(zip(OTHER_KEYS, moved, strict=True))
    up = by_key[2].plan
    assert up.chords.tolist() == [[chord_id(2, 0), 0], [UNKNOWN_CHORD, chord_id(1, 1)]]
    phrases = {value: phrase for phrase, value in numbers.items()}
    heard = [phrases[float(value)] for value in by_key[2].latents[:, :, 0].ravel()]
    higher = [*PHRASE[:2], vocabulary.pitch_id(62), PHRASE[3]]
    assert heard == [tuple(higher), tuple(EMPTY), tuple(higher)] * 2
    assert np.array_equal(up.texture, texture_of_slots([[higher, EMPTY, higher]] * 2))
    assert by_key[5].plan.texture[0, 0].tolist() == [1, 1, 2, 15, 15]


def test_batches_move_songs_until_their_own_key_takes_over(tmp_path, make_form_config):
    dataset, _, _ = written_dataset(tmp_path)
    songs = dataset.songs
    moved = [
        replace(song, latents=song.latents + 1000.0 * (1 + key))
        for key in range(len(OTHER_KEYS))
        for song in songs
    ]
    model = PhraseLDM.for_dataset(dataset, make_form_config(), NoiseScheduleConfig(), seed=1)
    batches = TransposedBatches(
        songs, moved, dataset, model.normalizer, model.config.denoiser, 0.75, 0.65, num_steps=1000
    )
    assert batches.chance(0) == 0.75
    assert batches.chance(650) == pytest.approx(0.75)
    assert batches.chance(700) == pytest.approx(0.375)
    assert batches.chance(750) == pytest.approx(0, abs=1e-12)
    assert batches.chance(999) == 0
    rows = np.array([batches._rows(3, step, 2) for step in range(600)])
    assert {*np.unique(rows % 2)} == {0, 1}
    assert (rows // 2 > 0).mean() == pytest.approx(0.75, abs=0.04)
    assert {*np.unique(rows // 2)} == {*range(12)}
    late = np.array([batches._rows(3, step, 2) for step in range(750, 800)])
    assert (late < 2).all()


def test_a_decoder_is_tuned_on_each_phrase_of_a_song_once():
    song = [PHRASE, EMPTY, PHRASE, [*PHRASE[:3], vocabulary.duration_id(6)]]
    assert distinct_cells([song, song]).tolist() == [0, 3, 4, 7]
