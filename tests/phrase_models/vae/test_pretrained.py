"""A PhraseVAE as a folder: half precision, and what is said of a folder that is none."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from phrase_models.codec import PhraseCodec
from phrase_models.errors import ConfigurationError
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import from_text
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import fit
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_table import PhraseTable
from phrase_models.vae.pretrained import load_vae, phase_of, save_vae
from phrase_models.vae.training import VAETraining

CONFIG = VAEConfig(
    model_dim=48,
    feedforward_dim=96,
    num_heads=2,
    head_dim=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
    num_queries=2,
    latent_dim=8,
    dropout=0.0,
    max_tokens=24,
)
PHRASES = [
    from_text("i-0 o-0 p-60 d-12 o-12 p-64 d-12 o-24 p-67 d-24"),
    from_text("i-13 o-0 p-72 d-6"),
    from_text("i-25 o-6 p-65 d-3 o-9 p-64 d-3"),
    from_text("i-0 o-0 p-48 d-48"),
    [vocabulary.EMPTY_SLOT],
]


def make_vae() -> PhraseVAE:
    torch.manual_seed(0)
    return PhraseVAE(CONFIG).eval()


def spoil(folder, change) -> None:
    path = folder / "config.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


def test_half_precision_is_read_into_fp32_weights(tmp_path):
    vae = make_vae()
    save_vae(make_vae().to(torch.bfloat16), "vae", tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    again = load_vae(tmp_path).state_dict()
    for name, weight in vae.state_dict().items():
        assert again[name].dtype == torch.float32
        assert torch.equal(again[name], weight.to(torch.bfloat16).float()), name
    assert phase_of(tmp_path) == "vae"


@pytest.mark.slow
def test_half_precision_decodes_to_the_same_tokens(tmp_path):
    training = TrainingConfig(
        num_steps=300,
        batch_size=256,
        learning_rate=5e-3,
        warmup_steps=10,
        validate_every=300,
        checkpoint_every=1000,
    )
    table = PhraseTable.build(PHRASES)
    objective = VAEObjectiveConfig(kl_weight=0.001, special_share=0.2)
    vae = make_vae()
    fit(VAETraining(vae, "vae", objective, training, table, table), training, tmp_path / "state")
    full = PhraseCodec(vae, "role")
    latents = full.encode_phrases(PHRASES)
    assert full.decode_phrases(latents) == PHRASES
    save_vae(vae.to(torch.bfloat16), "vae", tmp_path / "half")
    half = PhraseCodec.load(tmp_path / "half", "role")
    rounded = half.encode_phrases(PHRASES)
    assert half.decode_phrases(rounded) == PHRASES
    assert 0 < np.abs(rounded - latents).max() < 0.1


def without_config(folder):
    (folder / "config.json").unlink()


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def half_a_config(folder):
    path = folder / "config.json"
    path.write_text(path.read_text()[:100])


def half_the_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def another_width(folder):
    spoil(folder, lambda description: description["config"].update(model_dim=64))


def impossible_width(folder):
    spoil(folder, lambda description: description["config"].update(model_dim="wide"))


def another_model(folder):
    spoil(folder, lambda description: description.update({"class": "PhraseLDM"}))


def a_list(folder):
    (folder / "config.json").write_text("[1, 2]")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_config, "There is no PhraseVAE in {}: it has no config.json."),
        (without_weights, "There is no PhraseVAE in {}: it has no model.safetensors."),
        (half_a_config, "config.json cannot be used: it is damaged, or of another kind"),
        (half_the_weights, "model.safetensors cannot be used: it is damaged, or of another"),
        (another_width, "embedding.weight is 447 x 48 where the configuration asks for 447 x 64"),
        (impossible_width, "config.json cannot be used: config.model_dim is not a whole number"),
        (another_model, "is no PhraseVAE but a PhraseLDM"),
        (a_list, "config.json cannot be used: it is no JSON object"),
    ],
)
def test_a_folder_that_is_no_model_is_one_sentence(tmp_path, change, words):
    save_vae(make_vae(), "vae", tmp_path)
    change(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        load_vae(tmp_path)
    assert words.format(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match=r"There is no PhraseVAE in .*nowhere"):
        load_vae(tmp_path / "nowhere")
