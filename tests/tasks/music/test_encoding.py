"""What refinement did, for people."""

import numpy as np
import torch

from phrase_models.codec import PhraseCodec
from phrase_models.tokens.remiz import from_text
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.refinement_config import RefinementConfig
from tasks.music.encoding import encode_with_figures, refinement_cost
from tasks.settings.presets import load_preset

PHRASES = [from_text(f"i-0 o-0 p-{pitch} d-12") for pitch in (48, 50, 48)]


def test_a_cost_line_counts_each_phrase_once():
    torch.manual_seed(0)
    vae = PhraseVAE(load_preset("smoke").vae).eval()
    plain, figures = encode_with_figures(PhraseCodec(vae, "role"), PHRASES)
    assert figures == {}
    assert refinement_cost(figures) == "not refined"
    codec = PhraseCodec(vae, "role", refinement=RefinementConfig(num_steps=2))
    latents, figures = encode_with_figures(codec, PHRASES)
    assert latents.shape == plain.shape
    assert np.array_equal(latents[0], latents[2])
    assert figures["num_phrases"] == 2
    assert figures["num_exact_before"] + figures["num_refined"] == 2
    sentence = refinement_cost({**figures, "encoding_seconds": 1.23})
    assert sentence == f"{figures['num_refined']} of 2 phrases refined in 1.2 s"
