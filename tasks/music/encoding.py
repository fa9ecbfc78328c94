"""Phrases to latents, and what it took to refine them: for stages and for commands."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phrase_models.codec import PhraseCodec


def encode_with_figures(
    codec: PhraseCodec, phrases: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Latents (N, D) of token sequences, and what refinement did.

    Returns:
        The latents; and, empty for a codec that does not refine, how many different phrases there
        are, how many of them were refined, how many came back exactly before and after, how far
        latents moved (root mean square), and the seconds that it all took.
    """
    if codec.refinement is None:
        return codec.encode_phrases(phrases), {}
    started = time.perf_counter()
    refined = codec.encode_refined(phrases, codec.refinement)
    return refined.latents, {
        "num_phrases": refined.num_phrases,
        "num_refined": refined.num_refined,
        "num_exact_before": refined.num_exact_before,
        "num_exact_after": refined.num_exact_after,
        "moved": refined.moved,
        "encoding_seconds": time.perf_counter() - started,
    }


def refinement_cost(figures: Mapping[str, Any]) -> str:
    """The figures in words, such as "12 of 300 phrases refined in 1.2 s"."""
    if not figures:
        return "not refined"
    return (
        f"{figures['num_refined']} of {figures['num_phrases']} phrases refined in "
        f"{figures['encoding_seconds']:.1f} s"
    )
