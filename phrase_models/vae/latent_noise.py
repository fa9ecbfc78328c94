"""How much of a unit survives noise on its latent: what a diffusion model may get wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phrase_models.metrics.note_matching import ReconstructionScores, count_bar, pool
from phrase_models.tokens.units import decode_unit
from phrase_models.vae.decoding import decode_latents
from phrase_models.vae.model import PhraseVAE


def f1_under_noise(
    vae: PhraseVAE,
    latents: NDArray[np.float32],
    targets: Sequence[Sequence[int]],
    sigmas: Sequence[float],
    seed: int,
) -> list[ReconstructionScores]:
    """Scores of units decoded from latents with normal noise on them.

    The noise of dimension d has standard deviation sigma * s_d, where s_d is that of the latents
    themselves in d: so a sigma means the same for every model, whatever the scale it gave its
    latents, and no dimension drowns because it is small. All sigmas share one draw, so that their
    scores differ by the sigma alone.

    Args:
        vae: in eval mode.
        latents: (N, D), raw posterior means of the targets.
        targets: N token sequences, without begin and end tokens.
        sigmas: 0 for no noise.
        seed: of the draw.

    Returns:
        Pooled scores, one for each sigma.

    Raises:
        ValueError: if the lengths differ.
    """
    if len(latents) != len(targets):
        message = f"There are {len(latents)} latents but {len(targets)} targets."
        raise ValueError(message)
    wanted = [decode_unit(target) for target in targets]
    noise = np.random.default_rng(seed).standard_normal(latents.shape) * latents.std(axis=0)
    scores = []
    for sigma in sigmas:
        outputs = decode_latents(vae, (latents + sigma * noise).astype(np.float32))
        scores.append(
            pool(
                count_bar(target, decode_unit(output))
                for target, output in zip(wanted, outputs, strict=True)
            )
        )
    return scores
