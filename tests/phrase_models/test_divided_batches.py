"""The three trainings: parts of a batch add up to its loss and its gradient, masks or not.

Without dropout, in fp32; parts have unequal numbers of tokens, notes, bars and given slots.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from phrase_models.baselines.pianotree.config import PianoTreeConfig, PianoTreeObjectiveConfig
from phrase_models.baselines.pianotree.model import PianoTreeVAE
from phrase_models.baselines.pianotree.training import PianoTreeTraining
from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.diffusion.dataset import read_dataset
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.training import DiffusionTraining
from phrase_models.errors import ConfigurationError
from phrase_models.score.song import Phrase, PhraseNote
from phrase_models.tokens.remiz import encode
from phrase_models.training.config import TrainingConfig
from phrase_models.training.division import BatchPart
from phrase_models.training.loop import Trainable
from phrase_models.training.randomness import seed_everything
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phases import build_training
from phrase_models.vae.phrase_table import PhraseTable
from tests.phrase_models.diffusion.conftest import form_config as every_condition
from tests.phrase_models.diffusion.conftest import paper_config, small_config, write_dataset

VAE = VAEConfig(
    model_dim=32,
    feedforward_dim=64,
    num_heads=2,
    head_dim=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
    num_queries=2,
    latent_dim=8,
    dropout=0.0,
    state_embeddings=True,
    max_tokens=64,
)
PIANOTREE = PianoTreeConfig(
    note_dim=16,
    position_dim=16,
    encoder_dim=24,
    latent_dim=8,
    decoder_dim=32,
    decoder_note_dim=32,
    duration_dim=8,
)


def settings(batch_size: int) -> TrainingConfig:
    return TrainingConfig(
        num_steps=9,
        batch_size=batch_size,
        learning_rate=1e-3,
        validate_every=9,
        checkpoint_every=9,
    )


def table() -> PhraseTable:
    """Phrases of one to three notes: of unequal length, in one bucket."""
    rng = np.random.default_rng(0)
    rows = []
    for count in rng.integers(1, 4, 40).tolist():
        onsets = np.sort(rng.choice(16, count, replace=False)) * 3
        notes = [PhraseNote(int(onset), int(rng.integers(50, 70)), 6) for onset in onsets]
        rows.append(encode(Phrase(0, tuple(notes))))
    return PhraseTable.build(rows)


def vae_training(phase: Any, **objective: float) -> Trainable[Any]:
    vae = PhraseVAE(VAE.model_copy(update={"noise_level_input": phase == "decoder"}))
    config = VAEObjectiveConfig(kl_weight=0.5, decoder_mask_fraction=0.2, **objective)
    return build_training(vae, phase, config, settings(200), table(), table())


def pianotree_training(_folder: Path) -> Trainable[Any]:
    objective = PianoTreeObjectiveConfig(kl_weight=0.5)
    return PianoTreeTraining(PianoTreeVAE(PIANOTREE), objective, settings(200), table(), table())


def diffusion_training(config: DenoiserConfig, folder: Path) -> Trainable[Any]:
    dataset = read_dataset(write_dataset(folder))
    model = PhraseLDM.for_dataset(dataset, config, NoiseScheduleConfig(), seed=1)
    return DiffusionTraining(model, dataset, settings(7))


TRAININGS: dict[str, Callable[[Path], Trainable[Any]]] = {
    "infilling": lambda _: vae_training("infilling"),
    "autoencoder": lambda _: vae_training("autoencoder"),
    "vae": lambda _: vae_training("vae", latent_noise=0.3),
    "decoder": lambda _: vae_training("decoder"),
    "pianotree": pianotree_training,
    "diffusion": lambda folder: diffusion_training(small_config(), folder),
    "diffusion, all conditions": lambda folder: diffusion_training(every_condition(), folder),
    "diffusion, paper": lambda folder: diffusion_training(paper_config(), folder),
}


def shaken(task: Trainable[Any]) -> Trainable[Any]:
    """So that no layer that starts at zero hides anything."""
    seed_everything("shaken")
    with torch.no_grad():
        for parameter in task.module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return task


def summed(task: Trainable[Any], num_parts: int) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Scalars and gradients of step 3, whose batch is taken in parts."""
    seed_everything(0, "train", 3)
    batch = task.batch(3)
    assert len(batch) >= 7
    totals: dict[str, float] = {}
    task.module.zero_grad()
    for index in range(num_parts):
        values = task.loss(batch, BatchPart(index, num_parts).rows)
        torch.autograd.backward(values["loss"])
        for name, value in values.items():
            totals[name] = totals.get(name, 0.0) + float(value.detach())
    named = task.module.named_parameters()
    return totals, {name: p.grad.clone() for name, p in named if p.grad is not None}


@pytest.mark.parametrize("num_parts", [2, 3, 7])
@pytest.mark.parametrize("kind", TRAININGS)
def test_parts_add_up(tmp_path, kind, num_parts):
    seed_everything("weights")
    task = shaken(TRAININGS[kind](tmp_path))
    task.module.train()
    whole, gradients = summed(task, 1)
    parts, part_gradients = summed(task, num_parts)
    assert parts == pytest.approx(whole, rel=2e-6)
    assert part_gradients.keys() == gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(
            part_gradients[name], gradient, rtol=1e-4, atol=3e-6 * largest, msg=name
        )


@pytest.mark.parametrize("kind", ["vae", "diffusion"])
def test_means_of_parts_would_not_do(tmp_path, kind):
    """The negative control: parts are unequal, so the mean of their means is another number."""
    seed_everything("weights")
    task = shaken(TRAININGS[kind](tmp_path))
    task.module.train()
    seed_everything(0, "train", 3)
    batch = task.batch(3)
    name = "reconstruction" if kind == "vae" else "error"
    whole = float(task.loss(batch, slice(None))[name].detach())
    halves = [
        (float(task.loss(batch, part.rows)[name].detach()), len(range(len(batch))[part.rows]))
        for part in (BatchPart(0, 2), BatchPart(1, 2))
    ]
    assert sum(value for value, _ in halves) == pytest.approx(whole, rel=2e-6)
    by_rows = sum(value * len(batch) / rows for value, rows in halves) / 2
    assert by_rows != pytest.approx(whole, rel=1e-4)


def test_free_bits_are_of_whole_batches():
    task = vae_training("vae", free_bits=0.1)
    batch = task.batch(0)
    task.loss(batch, slice(None))
    with pytest.raises(ConfigurationError, match="Setting free_bits looks at whole batches"):
        task.loss(batch, slice(0, None, 2))
