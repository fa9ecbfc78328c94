"""Randomness as a pure function of (seed, step), so that a resumed run needs no saved state."""

import hashlib

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any mixture of numbers and names, equal in every process."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_everything(*parts: int | str) -> None:
    """Seed torch's global generators (dropout, noise) from these parts."""
    import torch

    torch.manual_seed(derive_seed(*parts))


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator from these parts."""
    return np.random.default_rng(derive_seed(*parts))
