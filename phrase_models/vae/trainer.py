"""From a specification to a trained PhraseVAE in a folder."""

from pathlib import Path
from typing import Any

from phrase_models.training.division import join_processes
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.loop import fit
from phrase_models.training.randomness import seed_everything
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phases import build_training, start_phase
from phrase_models.vae.phrase_table import PhraseTable, unit_table_path
from phrase_models.vae.pretrained import save_vae
from phrase_models.vae.specification import VAETrainingSpecification


def train(spec: VAETrainingSpecification, state: Path, output: Path) -> dict[str, Any]:
    """Train, or go on training.

    Args:
        spec: what is asked for.
        state: folder that survives a kill (see `fit`).
        output: folder that gets the weights.

    Returns:
        What `fit` says of the training.
    """
    device, division = prepare_torch(spec.hardware), join_processes(spec.hardware)
    recipe = spec.recipe
    granularity, training = recipe.architecture.granularity, recipe.training
    seed_everything(training.seed, "initialise")
    vae = PhraseVAE(recipe.architecture)
    start_phase(vae, recipe.phase, spec.start_from)
    bars = unit_table_path(spec.phrases, "bar", "train") if recipe.reads_bars else None
    trainable = build_training(
        vae.to(device),
        recipe.phase,
        recipe.objective,
        training,
        PhraseTable.load(unit_table_path(spec.phrases, granularity, "train")),
        PhraseTable.load(unit_table_path(spec.phrases, granularity, "validation")),
        PhraseTable.load(bars) if bars else None,
    )
    result = fit(trainable, training, state, division)
    if division.is_first:
        save_vae(vae, recipe.phase, output)
    return result
