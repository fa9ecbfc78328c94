"""From a specification to a trained PianoTree VAE in a folder."""

from pathlib import Path
from typing import Any

from phrase_models.baselines.pianotree.model import PianoTreeVAE
from phrase_models.baselines.pianotree.specification import PianoTreeTrainingSpecification
from phrase_models.baselines.pianotree.training import PianoTreeTraining, save_pianotree
from phrase_models.training.division import join_processes
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.loop import fit
from phrase_models.training.randomness import seed_everything
from phrase_models.vae.phrase_table import PhraseTable, unit_table_path


def train(spec: PianoTreeTrainingSpecification, state: Path, output: Path) -> dict[str, Any]:
    """Train, or go on training, on whole bars.

    Args:
        spec: what is asked for.
        state: folder that survives a kill (see `fit`).
        output: folder that gets the weights.

    Returns:
        What `fit` says of the training.
    """
    device, division = prepare_torch(spec.hardware), join_processes(spec.hardware)
    recipe, training = spec.recipe, spec.recipe.training
    seed_everything(training.seed, "initialise")
    vae = PianoTreeVAE(recipe.architecture)
    trainable = PianoTreeTraining(
        vae.to(device),
        recipe.objective,
        training,
        PhraseTable.load(unit_table_path(spec.phrases, "bar", "train")),
        PhraseTable.load(unit_table_path(spec.phrases, "bar", "validation")),
    )
    result = fit(trainable, training, state, division)
    if division.is_first:
        save_pianotree(vae, output)
    return result
