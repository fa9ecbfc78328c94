"""From one phrase to another through the latents between them (paper section 5.2, figure 9).

The path is spherical: directions turn at a constant rate about the origin, lengths change evenly.
The decoder has seen latents near a standard normal, nearly all of which lie about sqrt(D) from the
origin; the middle of a straight line between two of them lies three tenths nearer, where it has
seen next to nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phrase_models.metrics.note_matching import count_phrase
from phrase_models.score.song import Phrase
from phrase_models.tokens.remiz import decode
from phrase_models.vae.decoding import decode_latents
from phrase_models.vae.model import PhraseVAE

SMALLEST_SINE = 1e-4
"""Of the angle between two latents; below it they lie on one line, and the path is straight."""


@dataclass(frozen=True, slots=True)
class Smoothness:
    """How evenly phrases change along a path of n decoded phrases p_1 .. p_n.

    With d the distance of two phrases (`note_distance`), which obeys the triangle inequality:

    Attributes:
        end_distance: d(p_1, p_n), 0..1.
        mean_step: mean of the n - 1 steps d(p_k, p_k+1); at least end_distance / (n - 1).
        max_step: the largest step; on an even and direct path end_distance / (n - 1).
        detour: sum of the steps / end_distance: 1 where every step leads towards the end, more
            where notes come and go; nan where the ends are equal.
        largest_jump: max_step / end_distance: 1 / (n - 1) on an even and direct path, 1 where all
            changes happen at once, more where the path leaves the ground between the ends; nan
            where the ends are equal.
    """

    end_distance: float
    mean_step: float
    max_step: float
    detour: float
    largest_jump: float


def spherical_path(
    first: NDArray[np.floating], second: NDArray[np.floating], num_points: int
) -> NDArray[np.float32]:
    """Latents between two, both ends included.

    Args:
        first: (D,), raw.
        second: (D,), raw.
        num_points: at least 2, at even weights 0 .. 1 of the second.

    Returns:
        (num_points, D): between directions u, v at angle a, the direction
        (sin((1 - t) a) u + sin(t a) v) / sin(a), at the length (1 - t) |first| + t |second|. The
        straight line where the two lie on one line through the origin, or at it.

    Raises:
        ValueError: for fewer than two points.
    """
    weights = path_weights(num_points)[:, None]
    start, end = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    product = float(lengths[0] * lengths[1])
    angle = math.acos(float(np.clip(start @ end / product, -1.0, 1.0))) if product else 0.0
    if math.sin(angle) < SMALLEST_SINE:
        return ((1 - weights) * start + weights * end).astype(np.float32)
    from_start = np.sin((1 - weights) * angle) * (start / lengths[0])
    from_end = np.sin(weights * angle) * (end / lengths[1])
    length = (1 - weights) * lengths[0] + weights * lengths[1]
    return (length * (from_start + from_end) / math.sin(angle)).astype(np.float32)


def path_weights(num_points: int) -> NDArray[np.float64]:
    """Share of the second end at each point of a path, (num_points,) from 0 to 1.

    Raises:
        ValueError: for fewer than two points.
    """
    _require_two_ends(num_points)
    return np.linspace(0.0, 1.0, num_points)


def _require_two_ends(num_points: int) -> None:
    if num_points < 2:
        message = f"A path has at least its two ends, not {num_points} points."
        raise ValueError(message)


def decode_paths(
    vae: PhraseVAE,
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    num_points: int,
) -> list[list[Phrase | None]]:
    """Phrases on the paths between pairs of latents.

    Args:
        vae: in eval mode.
        first: latents the paths start at (P, D), raw.
        second: latents they end at (P, D), raw.
        num_points: phrases of each path, both ends included.

    Returns:
        P paths of num_points phrases; None where a latent decodes to a special phrase.
    """
    paths = [spherical_path(a, b, num_points) for a, b in zip(first, second, strict=True)]
    if not paths:
        return []
    tokens = decode_latents(vae, np.concatenate(paths))
    phrases = [decode(ids)[0] for ids in tokens]
    return [phrases[start : start + num_points] for start in range(0, len(phrases), num_points)]


def note_distance(first: Phrase | None, second: Phrase | None) -> float:
    """Jaccard distance of the notes of two phrases: 1 - common notes / all notes, 0..1.

    Notes are the same where onset and pitch agree, as in F1_op; programs do not count. Two phrases
    without notes are 0 apart. Unlike 1 - F1_op, which orders pairs in the same way, it is a metric:
    no way round is shorter than the direct one.
    """
    counts = count_phrase(first, second)
    union = counts.num_target + counts.num_output - counts.matched_op
    return 1.0 - counts.matched_op / union if union else 0.0


def smoothness(phrases: Sequence[Phrase | None]) -> Smoothness:
    """How evenly the phrases of one path change.

    Args:
        phrases: in the order of the path, two or more.

    Raises:
        ValueError: for fewer than two phrases.
    """
    _require_two_ends(len(phrases))
    steps = np.array([note_distance(*pair) for pair in pairwise(phrases)])
    ends = note_distance(phrases[0], phrases[-1])
    return Smoothness(
        end_distance=ends,
        mean_step=float(steps.mean()),
        max_step=float(steps.max()),
        detour=float(steps.sum()) / ends if ends else math.nan,
        largest_jump=float(steps.max()) / ends if ends else math.nan,
    )


def mean_smoothness(paths: Sequence[Sequence[Phrase | None]]) -> Smoothness:
    """Each figure meaned over the paths for which it is defined; nan where it is for none."""
    measured = [smoothness(path) for path in paths]

    def mean(name: str) -> float:
        values = np.array([getattr(item, name) for item in measured])
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else math.nan

    names = [field.name for field in fields(Smoothness)]
    return Smoothness(*(mean(name) for name in names))
