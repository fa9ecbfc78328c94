"""From a specification to a trained binomial diffusion in a folder."""

from pathlib import Path
from typing import Any

from phrase_models.binomial.dataset import read_dataset
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.pretrained import save_binomial
from phrase_models.binomial.specification import BinomialTrainingSpecification
from phrase_models.binomial.training import BinomialTraining
from phrase_models.training.division import join_processes
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.loop import fit


def train(spec: BinomialTrainingSpecification, state: Path, output: Path) -> dict[str, Any]:
    """Train, or go on training.

    Args:
        spec: what is asked for.
        state: folder that survives a kill (see `fit`).
        output: folder that gets the model.

    Returns:
        What `fit` says of the training.
    """
    device, division = prepare_torch(spec.hardware), join_processes(spec.hardware)
    recipe, training = spec.recipe, spec.recipe.training
    dataset = read_dataset(spec.dataset)
    model = BinomialDiffusion.for_dataset(
        dataset, recipe.noise, recipe.network, recipe.objective, seed=training.seed
    )
    model.network.to(device)
    result = fit(BinomialTraining(model, dataset, training), training, state, division)
    if division.is_first:
        save_binomial(model, output)
    return result
