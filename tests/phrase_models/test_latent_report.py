import numpy as np
import pytest
import torch

from phrase_models.latent_report import describe_latents, describe_paths, path_picture
from phrase_models.plots import figure_png, latent_pca
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import from_text
from phrase_models.vae.config import VAEConfig
from phrase_models.vae.interpolation import decode_paths, mean_smoothness
from phrase_models.vae.latent_noise import f1_under_noise
from phrase_models.vae.model import PhraseVAE

UNITS = [
    from_text("i-13 o-0 p-72 d-6"),
    from_text("i-0 o-0 p-48 d-48 i-25 o-0 p-50 d-3"),
    [vocabulary.EMPTY_SLOT],
] * 4


@pytest.fixture
def vae() -> PhraseVAE:
    torch.manual_seed(0)
    return PhraseVAE(
        VAEConfig(
            model_dim=16,
            feedforward_dim=32,
            num_heads=2,
            head_dim=8,
            num_encoder_layers=1,
            num_decoder_layers=1,
            num_queries=2,
            latent_dim=4,
            dropout=0.0,
            max_tokens=24,
        )
    ).eval()


def test_figures_and_pictures_of_latents(vae):
    latents = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    found = describe_latents(vae, latents, UNITS, sigmas=(0.1, 0.25), seed=3)
    assert found.figures["latent_std_mean"] == pytest.approx(latents.std(axis=0).mean())
    assert found.figures["latent_active_dims"] == 4
    noisy = f1_under_noise(vae, latents, UNITS, (0.25,), 3)[0]
    assert found.figures["f1_op_relative_noise_0.25"] == noisy.f1_op
    assert found.figures["f1_opd_relative_noise_0.25"] == noisy.f1_opd
    assert "f1_op_relative_noise_0.1" in found.figures
    # Melody, piano (the first program of its unit) and a special phrase.
    expected = figure_png(latent_pca(latents, [13, 0, -1] * 4))
    assert found.pictures["latent_pca.png"] == expected
    assert sorted(found.pictures) == ["latent_pca.png", "latent_profile.png"]
    assert all(picture.startswith(b"\x89PNG") for picture in found.pictures.values())


def test_paths_lead_between_different_phrases_of_one_program(vae):
    melody, other = UNITS[0], from_text("i-13 o-0 p-74 d-6")
    phrases = [melody, other, melody, [vocabulary.EMPTY_SLOT], from_text("i-0 o-0 p-48 d-48")]
    latents = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    latents[2] = latents[0]
    found = describe_paths(vae, latents, phrases, seed=1)
    # The one phrase of program 0 has no other to lead to, the special one none at all.
    assert list(found.pictures) == ["interpolation_program_13.png"]
    both_ways = [
        decode_paths(vae, latents[first], latents[second], 8)[0]
        for first, second in ((slice(0, 1), slice(1, 2)), (slice(1, 2), slice(0, 1)))
    ]
    assert found.pictures["interpolation_program_13.png"] in [
        path_picture(13, path) for path in both_ways
    ]
    expected = {mean_smoothness([path]).mean_step for path in both_ways}
    assert min(expected) <= found.figures["interpolation_mean_step"] <= max(expected)


def test_no_pairs_no_paths(vae):
    found = describe_paths(vae, np.zeros((1, 4), np.float32), [UNITS[0]])
    assert (found.figures, found.pictures) == ({}, {})
