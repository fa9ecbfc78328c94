"""Phrases to latents, and what it took to refine them: for stages and for commands."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from phrase_models.codec import PhraseCodec


def encode_with_figures(
    codec: PhraseCodec, phrases: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Latents (N, D) of token sequences, and what refinement did.

    Returns:
        The latents; and, empty for a codec that does not refine, how many different phrases there
        are, how many of them were refined, how many kept another latent, how many came back exactly
        before and after, how far latents moved (root mean square), and the seconds of it all.
    """
    if codec.refinement is None:
        return codec.encode_phrases(phrases), {}
    started = time.perf_counter()
    refined = codec.encode_refined(phrases, codec.refinement)
    return refined.latents, {
        "num_phrases": refined.num_phrases,
        "num_refined": refined.num_refined,
        "num_improved": refined.num_improved,
        "num_exact_before": refined.num_exact_before,
        "num_exact_after": refined.num_exact_after,
        "moved": refined.moved,
        "encoding_seconds": time.perf_counter() - started,
    }


def pooled_figures(parts: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """The figures of `encode_with_figures` over several sets of phrases; those of each count.

    Args:
        parts: figures of each set.
        seconds: that all of it took.
    """
    if not all(parts):
        return {}
    counts = ("num_phrases", "num_refined", "num_improved", "num_exact_before", "num_exact_after")
    pooled = {name: sum(part[name] for part in parts) for name in counts}
    squares = sum(part["num_improved"] * part["moved"] ** 2 for part in parts)
    moved = math.sqrt(squares / pooled["num_improved"]) if pooled["num_improved"] else 0.0
    return {**pooled, "moved": moved, "encoding_seconds": seconds}


def refinement_cost(figures: Mapping[str, Any]) -> str:
    """The figures in words, such as "12 of 300 phrases refined in 1.2 s"."""
    if not figures:
        return "not refined"
    return (
        f"{figures['num_refined']} of {figures['num_phrases']} phrases refined in "
        f"{figures['encoding_seconds']:.1f} s"
    )
