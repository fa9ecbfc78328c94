"""A release of a binomial diffusion whose training is finished, or still running.

    python -m benchmarks.assemble_binomial SPEC STATE OUTPUT --card FILE

SPEC is the specification of the training (`phrase_models.train --spec`), STATE the folder of its
checkpoints, of which the averaged weights are taken; OUTPUT is the folder of the release, the card
its README.
"""

import argparse
from pathlib import Path

from safetensors.torch import load_file

from phrase_models.binomial.config import BinomialSamplerConfig
from phrase_models.binomial.dataset import read_dataset
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.specification import BinomialTrainingSpecification
from phrase_models.training.checkpoint import AVERAGE
from tasks.reports.binomial_release import assemble_binomial


def model_of_checkpoint(spec: BinomialTrainingSpecification, state: Path) -> BinomialDiffusion:
    """The model with the averaged weights of the last checkpoint."""
    recipe = spec.recipe
    model = BinomialDiffusion.for_dataset(
        read_dataset(spec.dataset), recipe.noise, recipe.network, recipe.objective, seed=0
    )
    averages = load_file(state / "checkpoint" / AVERAGE)
    model.network.load_state_dict(averages)
    model.network.eval()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("spec", "state", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=BinomialSamplerConfig().num_sampling_steps)
    chosen = parser.parse_args()
    spec = BinomialTrainingSpecification.model_validate_json(chosen.spec.read_text())
    model = model_of_checkpoint(spec, chosen.state)
    sampler = BinomialSamplerConfig(num_sampling_steps=chosen.steps, precision="bf16")
    card = chosen.card.read_text(encoding="utf-8")
    print(assemble_binomial(model, card, chosen.output, sampler=sampler))


if __name__ == "__main__":
    main()
