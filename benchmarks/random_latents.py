"""What share of random latents decodes to valid phrases, with the grammar and without.

python benchmarks/random_latents.py VAE_FOLDER [--count N] [--sigmas S [S ...]]

Each latent is drawn from a normal distribution of mean 0 and deviation S, 1 being the prior.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import decode, encode
from phrase_models.vae.decoding import decode_latents
from phrase_models.vae.pretrained import load_vae


def is_valid(tokens: Sequence[int]) -> bool:
    """Whether tokens are a phrase as `encode` writes them, or a special one."""
    if len(tokens) == 1 and vocabulary.EMPTY_SLOT <= tokens[0] <= vocabulary.END_OF_BAR:
        return True
    phrase, report = decode(tokens)
    return phrase is not None and report.num_repairs == 0 and encode(phrase) == list(tokens)


def main() -> None:
    """Decode and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vae", type=Path, help="a release, or an artifact of train_vae")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--sigmas", type=float, nargs="+", default=[1.0, 3.0])
    arguments = parser.parse_args()
    vae = load_vae(arguments.vae)
    shape = (arguments.count, vae.config.latent_dim)
    for sigma in arguments.sigmas:
        latents = sigma * np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        for constrained in (True, False):
            phrases = decode_latents(vae, latents, constrained=constrained)
            share = sum(map(is_valid, phrases)) / len(phrases)
            grammar = "with" if constrained else "without"
            print(f"deviation {sigma:g} {grammar} grammar: {share:.2%} of {len(phrases)} valid")


if __name__ == "__main__":
    main()
