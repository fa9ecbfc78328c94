"""Units through the autoencoder of the second training phase, which has no latent yet."""

from collections.abc import Sequence

import numpy as np
import torch

from phrase_models.vae.decoding import decode_memory
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_lengths import padded_length
from phrase_models.vae.phrase_table import PhraseTable

BATCH = 256


@torch.no_grad()
def through_autoencoder(vae: PhraseVAE, units: Sequence[Sequence[int]]) -> list[list[int]]:
    """What comes back of each unit when the decoder sees what the encoder let through.

    Args:
        vae: in eval mode, of phase "autoencoder".
        units: token ids; repeated units are computed once.
    """
    numbers: dict[tuple[int, ...], int] = {}
    rows = [numbers.setdefault(tuple(unit), len(numbers)) for unit in units]
    table = PhraseTable.build(numbers)
    outputs: dict[int, list[int]] = {}
    by_length = np.argsort(table.lengths, kind="stable")
    for start in range(0, len(by_length), BATCH):
        chunk = by_length[start : start + BATCH]
        tokens = table.padded(chunk, padded_length(int(table.lengths[chunk].max())))
        memory = vae.compress(tokens.to(vae.embedding.weight.device))
        decoded = decode_memory(vae, memory, vae.config.max_tokens)
        outputs |= dict(zip(chunk.tolist(), decoded, strict=True))
    return [outputs[row] for row in rows]
