"""The few figures by which pipelines are compared first, whatever the size of their latents."""

from collections.abc import Mapping
from typing import Any

RATIOS = {
    "srs_ratio_50": "srs_notes_50",
    "srs_ratio_70": "srs_notes_70",
    "srs_ratio_90": "srs_notes_90",
    "fid_ratio": "phrase_fid",
    "feature_ratio": "feature_frechet",
}
"""Figures of `evaluate_songs` over those of real songs."""
PLAIN = {
    "f1_op": ("score_reconstruction", "f1_op"),
    "f1_opd": ("score_reconstruction", "f1_opd"),
    "boundary_f1": ("evaluate_songs", "boundary_f1"),
    "memorised": ("evaluate_songs", "mr_invariant"),
    "phrase_fid": ("evaluate_songs", "phrase_fid"),
}
"""Figures as they are: stage, and their name there."""


def at_a_glance(meta: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Figures of a pipeline by name; those that are undefined or not measured are left out.

    Args:
        meta: of the artifact of each stage, by its name.
    """
    figures: dict[str, float] = {}
    for name, (stage, key) in PLAIN.items():
        value = meta.get(stage, {}).get(key)
        if isinstance(value, int | float):
            figures[name] = float(value)
    measured = meta.get("evaluate_songs", {})
    for name, key in RATIOS.items():
        ours, real = measured.get(key), measured.get(f"{key}_real")
        if isinstance(ours, int | float) and isinstance(real, int | float) and real:
            figures[name] = ours / real
    return figures
