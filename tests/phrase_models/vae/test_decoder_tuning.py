"""The decoder's own training: what it moves, what it must not, and that it learns from noise."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from phrase_models.codec import PhraseCodec
from phrase_models.errors import ConfigurationError
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import encode, from_text
from phrase_models.tokens.song_layout import song_to_bars, text_to_song
from phrase_models.training.config import TrainingConfig
from phrase_models.training.hardware import HardwareConfig
from phrase_models.training.loop import TrainingRun, fit
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.decoder_tuning import DecoderTuning
from phrase_models.vae.decoding import LatentDecoder
from phrase_models.vae.encoding import encode_table
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phases import start_phase
from phrase_models.vae.phrase_table import PhraseTable, unit_table_path
from phrase_models.vae.pretrained import load_vae, save_vae, start_from
from phrase_models.vae.specification import VAERecipeConfig, VAETrainingSpecification
from phrase_models.vae.trainer import train
from phrase_models.vae.training import PreparedBatch

RELEASE = Path(__file__).parents[3] / "releases" / "phrase-vae-64"
CONFIG = VAEConfig(
    model_dim=48,
    feedforward_dim=96,
    num_heads=2,
    head_dim=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
    num_queries=2,
    latent_dim=8,
    dropout=0.1,
    state_embeddings=True,
    max_tokens=24,
)
PHRASES = [
    from_text("i-0 o-0 p-60 d-12 o-12 p-64 d-12 o-24 p-67 d-24"),
    from_text("i-13 o-0 p-72 d-6"),
    from_text("i-25 o-6 p-65 d-3 o-9 p-64 d-3"),
    from_text("i-0 o-0 p-48 d-48"),
    from_text("i-13 o-12 p-69 d-6 o-24 p-67 d-3"),
    [vocabulary.EMPTY_SLOT],
    [vocabulary.END_OF_SONG],
]
TABLE = PhraseTable.build(PHRASES)
TUNED = {"decoder", "from_latent", "noise_level", "output"}


def make_vae(seed: int = 0, **changes: object) -> PhraseVAE:
    torch.manual_seed(seed)
    return PhraseVAE(CONFIG.model_copy(update=changes)).eval()


def settings(**changes: object) -> TrainingConfig:
    values = {
        "num_steps": 12,
        "batch_size": 128,
        "learning_rate": 3e-3,
        "warmup_steps": 2,
        "validate_every": 6,
        "checkpoint_every": 4,
        "log_every": 4,
        "ema_decay": 0.5,
    }
    return TrainingConfig.model_validate(values | changes)


def tuning(vae: PhraseVAE, **changes: object) -> DecoderTuning:
    return DecoderTuning(
        vae, VAEObjectiveConfig(noise_range=0.6), settings(**changes), TABLE, TABLE
    )


@pytest.mark.parametrize("variant", [{}, {"tied_embedding": False, "noise_level_input": True}])
def test_only_the_way_from_the_latent_moves(variant, tmp_path):
    vae = make_vae(**variant)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    latents = encode_table(vae, TABLE)
    fit(tuning(vae), settings(), tmp_path)
    for name, value in vae.state_dict().items():
        moved = not torch.equal(value, before[name])
        assert moved == (name.split(".")[0] in TUNED), name
    vae.requires_grad_()  # products with fixed weights are rounded in another way
    assert np.array_equal(encode_table(vae, TABLE), latents)


def test_the_optimiser_holds_the_tuned_parameters_alone(tmp_path):
    vae = make_vae()
    run = TrainingRun(tuning(vae), settings(), tmp_path)
    held = {id(parameter) for group in run.optimizer.param_groups for parameter in group["params"]}
    expected = {id(p) for name, p in vae.named_parameters() if name.split(".")[0] in TUNED}
    assert held == expected


def test_resumed_equals_uninterrupted(tmp_path):
    whole = make_vae()
    fit(tuning(whole), settings(), tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stopping(step: int) -> PreparedBatch:
        if step == 9:
            raise Stopped
        return DecoderTuning.batch(killed, step)

    killed = tuning(make_vae())
    killed.batch = stopping
    with pytest.raises(Stopped):
        fit(killed, settings(), tmp_path / "resumed")
    resumed = make_vae()
    fit(tuning(resumed), settings(), tmp_path / "resumed")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "resumed")]
    assert lines[0] == lines[1]


def test_the_score_is_the_mean_over_the_levels_of_noise_and_noise_costs():
    vae = make_vae()
    figures = tuning(vae).validate()
    levels = ("", "_noise_0.35", "_noise_0.5")
    losses = [figures[f"reconstruction{level}"] for level in levels]
    assert figures["score"] == pytest.approx(sum(losses) / 3, abs=1e-12)
    assert len(set(losses)) == 3
    expected = {f"{name}{level}" for name in ("f1_op", "f1_opd", "exact") for level in levels}
    assert expected <= figures.keys()
    assert tuning(vae).validate() == figures
    assert tuning(vae, seed=1).validate()["reconstruction_noise_0.5"] != losses[2]


def test_noise_has_the_size_it_says():
    vae = make_vae()
    task = tuning(vae)
    deviation = encode_table(vae, TABLE).std(axis=0)
    assert np.array_equal(task.deviation.numpy(), deviation)
    means = torch.zeros(20_000, 8)
    noisy = task._noisy(means, torch.full((20_000, 1), 0.5), torch.randn(20_000, 8))
    assert noisy.std(0).numpy() == pytest.approx(0.5 * deviation, rel=0.03)


def test_dropout_is_not_in_the_latents_that_are_trained_on(monkeypatch):
    vae = make_vae()
    task = tuning(vae)
    seen = []
    monkeypatch.setattr(task, "_noisy", lambda means, *_rest: seen.append(means) or means)
    vae.train()
    task.loss(task.batch(0), slice(None))
    vae.train()
    task.loss(task.batch(0), slice(None))
    assert torch.equal(seen[0], seen[1])
    vae.eval()
    with torch.no_grad():
        assert torch.equal(seen[0], vae.posterior(task.prepared(0).source).mean)


@pytest.mark.slow
def test_the_released_decoder_learns_to_bear_noise(pop909_root, tmp_path):
    song = text_to_song((pop909_root / "golden" / "001.remiz.txt").read_text())
    phrases = [encode(phrase) for bar in song_to_bars(song) for phrase in bar]
    table = PhraseTable.build(phrases)
    training = settings(
        num_steps=20, batch_size=768, learning_rate=5e-4, validate_every=20, ema_decay=None
    )
    task = DecoderTuning(load_vae(RELEASE), VAEObjectiveConfig(), training, table, table)
    before = task.validate()
    result = fit(task, training, tmp_path)
    after = task.validate()
    assert after["score"] == result["best_score"] < 0.7 * before["score"]
    assert after["f1_op_noise_0.35"] > before["f1_op_noise_0.35"] + 0.05
    assert after["f1_op_noise_0.5"] > before["f1_op_noise_0.5"] + 0.05
    assert after["f1_op"] > 0.98


def test_it_starts_from_a_finished_vae_with_all_its_weights(tmp_path):
    finished = make_vae(seed=3)
    save_vae(finished, "vae", tmp_path / "vae")
    later = make_vae(seed=4)
    start_phase(later, "decoder", tmp_path / "vae")
    for name, value in finished.state_dict().items():
        assert torch.equal(value, later.state_dict()[name]), name
    save_vae(finished, "autoencoder", tmp_path / "early")
    for folder in (None, tmp_path / "early"):
        with pytest.raises(ConfigurationError, match="tuned on a finished PhraseVAE"):
            start_phase(later, "decoder", folder)


def test_the_earlier_stages_still_leave_the_latent_to_the_vae(tmp_path):
    save_vae(make_vae(seed=3), "autoencoder", tmp_path)
    later = make_vae(seed=4)
    before = later.from_latent.weight.clone()
    start_from(later, tmp_path)
    assert torch.equal(later.from_latent.weight, before)


def test_a_vae_may_start_from_one_with_a_latent_of_another_size(tmp_path):
    larger = make_vae(seed=3)
    save_vae(larger, "vae", tmp_path)
    smaller, again = make_vae(seed=4, latent_dim=4), make_vae(seed=4)
    before = {name: value.clone() for name, value in smaller.state_dict().items()}
    start_from(smaller, tmp_path)
    for name, value in smaller.state_dict().items():
        around = name.startswith(("bottleneck_norm", "to_posterior", "from_latent"))
        source = before if around else larger.state_dict()
        assert torch.equal(value, source[name]), name
    start_from(again, tmp_path)
    for name, value in again.state_dict().items():
        assert torch.equal(value, larger.state_dict()[name]), name
    with pytest.raises(ConfigurationError, match="latent of another size"):
        start_phase(smaller, "decoder", tmp_path)


def test_logits_of_their_own_begin_with_the_embedding(tmp_path):
    save_vae(make_vae(), "vae", tmp_path)
    later = make_vae(seed=1, tied_embedding=False)
    start_phase(later, "decoder", tmp_path)
    assert torch.equal(later.output.weight, later.embedding.weight)
    assert later.output.weight is not later.embedding.weight


def test_the_noise_level_adds_nothing_at_zero_and_something_once_it_is_learnt(tmp_path):
    plain = make_vae()
    save_vae(plain, "vae", tmp_path / "vae")
    told = make_vae(seed=1, noise_level_input=True)
    start_phase(told, "decoder", tmp_path / "vae")
    latents = torch.randn(5, 8)
    assert torch.equal(told.memory(latents), plain.memory(latents))
    half = torch.full((5, 1), 0.5)
    assert torch.equal(told.memory(latents, half), plain.memory(latents))
    fit(tuning(told), settings(), tmp_path / "state")
    assert torch.equal(told.memory(latents), told.memory(latents, torch.zeros(5, 1)))
    assert not torch.equal(told.memory(latents, half), told.memory(latents))
    save_vae(told, "decoder", tmp_path / "decoder")
    again = load_vae(tmp_path / "decoder")
    decoder = LatentDecoder(again, noise_level=0.5)
    assert torch.equal(decoder.memory(latents), told.memory(latents, half))
    assert PhraseCodec(again, "role", noise_level=0.5).decoder.noise_level == 0.5
    silent = LatentDecoder(plain, noise_level=0.5)
    assert torch.equal(silent.memory(latents), plain.memory(latents))


def test_what_came_before_does_not_depend_on_the_decoders_input():
    told = CONFIG.model_copy(update={"noise_level_input": True})
    assert told.for_phase("vae") == CONFIG.for_phase("vae")
    assert told.for_phase("decoder") != CONFIG.for_phase("decoder")
    assert CONFIG.for_phase("decoder") == CONFIG


@pytest.fixture
def own_torch_settings():
    """What a training sets for its whole process is set back for the tests after it."""
    before = torch.get_float32_matmul_precision(), torch.get_num_threads()
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.set_num_threads(before[1])


@pytest.mark.usefixtures("own_torch_settings")
def test_the_training_process_tunes_a_decoder(tmp_path):
    save_vae(make_vae(), "vae", tmp_path / "vae")
    for split in ("train", "validation"):
        TABLE.save(unit_table_path(tmp_path, "phrase", split))
    recipe = VAERecipeConfig(
        phase="decoder", architecture=CONFIG, objective=VAEObjectiveConfig(), training=settings()
    )
    spec = VAETrainingSpecification(
        recipe=recipe, phrases=tmp_path, start_from=tmp_path / "vae", hardware=HardwareConfig()
    )
    train(spec, tmp_path / "state", tmp_path / "output")
    description = json.loads((tmp_path / "output" / "config.json").read_text())
    assert description["phase"] == "decoder"
    before, after = (PhraseCodec.load(tmp_path / name, "role") for name in ("vae", "output"))
    assert np.array_equal(before.encode_phrases(PHRASES), after.encode_phrases(PHRASES))
