"""From a specification to a trained PhraseLDM in a folder."""

from pathlib import Path
from typing import Any

from phrase_models.diffusion.dataset import read_dataset
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.pretrained import save_ldm
from phrase_models.diffusion.specification import DiffusionTrainingSpecification
from phrase_models.diffusion.training import DiffusionTraining
from phrase_models.training.division import join_processes
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.loop import fit


def train(spec: DiffusionTrainingSpecification, state: Path, output: Path) -> dict[str, Any]:
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
    model = PhraseLDM.for_dataset(
        dataset, recipe.denoiser, recipe.noise_schedule, seed=training.seed
    )
    model.denoiser.to(device)
    result = fit(DiffusionTraining(model, dataset, training), training, state, division)
    if division.is_first:
        save_ldm(model, output)
    return result
