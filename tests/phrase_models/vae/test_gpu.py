"""PhraseVAE on a real GPU: no step waits for it, and what it refines is what a CPU refines."""

import numpy as np
import pytest
import torch

from phrase_models.codec import PhraseCodec
from phrase_models.tokens.remiz import from_text
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import TrainingRun
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phases import build_training
from phrase_models.vae.phrase_table import PhraseTable
from phrase_models.vae.refinement_config import RefinementConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CONFIG = VAEConfig(
    model_dim=64,
    feedforward_dim=128,
    num_heads=2,
    head_dim=32,
    num_encoder_layers=1,
    num_decoder_layers=1,
    num_queries=4,
    latent_dim=16,
    dropout=0.1,
    state_embeddings=True,
    bottleneck_hidden_dim=32,
    max_tokens=64,
)
PHRASES = [
    from_text(f"i-0 o-0 p-{60 + n} d-12 p-{50 + n} d-6 o-{n + 1} p-{64 - n} d-12 o-40 p-67 d-24")
    for n in range(20)
]


def make_vae(device: str) -> PhraseVAE:
    torch.manual_seed(0)
    return PhraseVAE(CONFIG).to(device)


@pytest.mark.parametrize("phase", ["vae", "decoder"])
def test_no_step_waits_for_the_device(phase, tmp_path):
    table = PhraseTable.build(PHRASES)
    training = TrainingConfig(
        num_steps=100,
        batch_size=512,
        learning_rate=1e-3,
        validate_every=100,
        checkpoint_every=100,
        precision="bf16",
    )
    objective = VAEObjectiveConfig(
        transposed_share=0.5, augmented_share=0.5, free_bits=0.1, decoder_mask_fraction=0.1
    )
    task = build_training(make_vae("cuda"), phase, objective, training, table, table)
    run = TrainingRun(task, training, tmp_path)
    run.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            run.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    run.log()
    run.validate()
    assert np.isfinite(run.best_score)


def test_encoding_and_refinement_agree_with_a_cpu():
    codecs = [PhraseCodec(make_vae(device), "role") for device in ("cpu", "cuda")]
    means = [codec.encode_phrases(PHRASES) for codec in codecs]
    assert np.abs(means[0] - means[1]).max() < 1e-3
    refined = [codec.encode_refined(PHRASES, RefinementConfig(num_steps=5)) for codec in codecs]
    assert refined[1].num_refined == refined[0].num_refined == len(PHRASES)
    assert refined[1].latents.shape == (20, 16)
