import numpy as np
import pytest

from phrase_models.score.song import PIANO, Phrase, PhraseNote
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import encode
from phrase_models.vae import latent_noise
from phrase_models.vae.latent_noise import f1_under_noise

TARGETS = [
    encode(Phrase(PIANO, (PhraseNote(0, pitch, 12), PhraseNote(12, pitch + 2, 12))))
    for pitch in range(40, 90)
]
LATENTS = np.random.default_rng(1).normal(size=(50, 3)) * (0.1, 1.0, 10.0) + 5.0
LATENTS = LATENTS.astype(np.float32)


@pytest.fixture
def decoded(monkeypatch):
    """A decoder that gives every target back, but silence where dimension 2 moved by over 5."""
    seen = []

    def decode_latents(_, latents):
        seen.append(latents)
        kept = np.abs(latents - LATENTS)[:, 2] <= 5
        return [
            target if keep else [vocabulary.EMPTY_SLOT]
            for target, keep in zip(TARGETS, kept, strict=True)
        ]

    monkeypatch.setattr(latent_noise, "decode_latents", decode_latents)
    return seen


def test_noise_is_in_units_of_each_dimension_and_drawn_once(decoded):
    f1_under_noise(None, LATENTS, TARGETS, [0.0, 0.1, 0.3], seed=4)
    clean, little, much = (latents - LATENTS for latents in decoded)
    assert not clean.any()
    drawn = np.random.default_rng(4).standard_normal(LATENTS.shape)
    assert little / LATENTS.std(axis=0) == pytest.approx(0.1 * drawn, abs=1e-4)
    assert much == pytest.approx(3 * little, abs=1e-4)
    assert decoded[0].dtype == np.float32


def test_f1_counts_what_the_noise_destroyed(decoded):
    clean, noisy = f1_under_noise(None, LATENTS, TARGETS, [0.0, 1.0], seed=4)
    assert (clean.f1_op, clean.f1_opd, clean.exact_phrase_rate) == (1, 1, 1)
    kept = int((np.abs(decoded[1] - LATENTS)[:, 2] <= 5).sum())
    assert 0 < kept < 50
    # Two notes in every target and in every output that was kept.
    assert noisy.f1_op == pytest.approx(2 * kept / (50 + kept))


def test_another_seed_is_another_draw(decoded):
    for seed in (0, 0, 1):
        f1_under_noise(None, LATENTS, TARGETS, [0.2], seed=seed)
    assert np.array_equal(decoded[0], decoded[1])
    assert not np.array_equal(decoded[0], decoded[2])


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="50 latents but 2 targets"):
        f1_under_noise(None, LATENTS, TARGETS[:2], [0.1], seed=0)
