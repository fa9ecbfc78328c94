"""The folder of tables that PhraseVAE and its baseline are trained on: which file is which."""

from pathlib import Path

from phrase_models.tokens.units import Granularity


def unit_table_path(folder: Path, granularity: Granularity, split: str) -> Path:
    """File of the distinct units of one split ("train" or "validation")."""
    return folder / f"{granularity}-{split}.npz"
