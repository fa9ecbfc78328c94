"""Span infilling as in BART: spans of tokens become one mask each (paper section 3.2.2)."""

from collections.abc import Sequence

import numpy as np

from phrase_models.tokens import vocabulary


def corrupt(
    ids: Sequence[int],
    rng: np.random.Generator,
    *,
    mask_fraction: float = 0.3,
    mean_span: float = 3.0,
) -> list[int]:
    """Replace spans of tokens by single masks.

    Span lengths are Poisson(mean_span); spans are drawn until round(mask_fraction * T) tokens are
    hidden, the last one cut to fit. They start at random places and do not overlap; a span of
    length 0 puts a mask between two tokens.

    Args:
        ids: T token ids.
        rng: decides spans and places.
        mask_fraction: share of tokens hidden.
        mean_span: mean length of a span.

    Returns:
        The corrupted ids; shorter than `ids` as a rule.
    """
    budget = round(mask_fraction * len(ids))
    spans: list[int] = []
    while sum(spans) < budget:
        spans.append(min(int(rng.poisson(mean_span)), budget - sum(spans)))
    kept = len(ids) - sum(spans)
    # Dropping the spans into the gaps between kept tokens makes them disjoint by construction.
    gaps = np.sort(rng.integers(0, kept + 1, size=len(spans)))
    corrupted: list[int] = []
    position = taken = 0
    for span, gap in zip(spans, gaps.tolist(), strict=True):
        corrupted += ids[position : position + gap - taken]
        position += gap - taken + span
        taken = gap
        corrupted.append(vocabulary.MASK)
    return corrupted + list(ids[position:])
