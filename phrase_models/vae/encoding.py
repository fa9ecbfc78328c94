"""A table of phrases -> their latents, by batches of nearly one length."""

from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from phrase_models.vae.decoding import Precision
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_lengths import rounded_up
from phrase_models.vae.phrase_table import PhraseTable

ENCODE_TOKENS = 8192
"""Padded tokens encoded together."""


@torch.no_grad()
def encode_table(
    vae: PhraseVAE, table: PhraseTable, precision: Precision = "fp32"
) -> NDArray[np.float32]:
    """Posterior means of all rows (N, D).

    Args:
        vae: in eval mode.
        table: without PAD in its rows.
        precision: of the matrix products.
    """
    latents = np.empty((len(table), vae.config.latent_dim), np.float32)
    device = vae.embedding.weight.device
    half = precision == "bf16"
    lengths = rounded_up(table.lengths)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        size = max(1, ENCODE_TOKENS // int(length))
        for start in range(0, len(rows), size):
            chunk = rows[start : start + size]
            tokens = table.padded(chunk, int(length)).to(device)
            with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
                mean = vae.posterior(tokens).mean
            latents[chunk] = mean.float().cpu().numpy()
    return latents
