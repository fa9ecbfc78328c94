"""The released PhraseVAE works as it is, without a store and without data."""

from pathlib import Path

import numpy as np
import pytest

from phrase_models.metrics.note_matching import count_bar, pool
from phrase_models.score.midi import read_midi
from phrase_models.tokens.remiz import decode
from phrase_models.tokens.song_layout import song_to_bars
from phrase_models.vae.decoding import decode_latents
from phrase_models.vae.pretrained import load_vae
from tasks.commands import reconstruct_file

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "releases" / "phrase-vae-64"
GOLDEN = ROOT.parent / "shared" / "data" / "golden" / "083.mid"


def test_it_loads_and_says_what_it_is():
    vae = load_vae(RELEASE)
    assert (vae.config.latent_dim, vae.config.granularity) == (64, "phrase")
    card = (RELEASE / "README.md").read_text()
    assert "| f1_op | 0.98" in card
    assert "phraseldm run --preset cpu" in card


@pytest.mark.skipif(not GOLDEN.exists(), reason="shared/data/golden/083.mid is not here")
def test_it_gives_a_real_song_back(tmp_path):
    sentence = reconstruct_file(tmp_path, GOLDEN, tmp_path / "back.mid", vae=RELEASE)
    assert sentence.startswith("1828 notes in 64 bars")
    before, after = song_to_bars(read_midi(GOLDEN)), song_to_bars(read_midi(tmp_path / "back.mid"))
    scores = pool(count_bar(*bars) for bars in zip(before, after, strict=True))
    assert scores.f1_op > 0.98
    assert scores.f1_opd > 0.97


def test_any_latent_is_a_valid_phrase():
    vae = load_vae(RELEASE)
    latents = 3 * np.random.default_rng(0).standard_normal((256, 64)).astype(np.float32)
    phrases = decode_latents(vae, latents)
    assert all(decode(phrase)[1].num_repairs == 0 for phrase in phrases)
    assert len({tuple(phrase) for phrase in phrases}) > 200  # and not always the same one
