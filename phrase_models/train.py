"""The training process: `python -m phrase_models.train --spec FILE --state DIR --output DIR`.

Reads a specification in JSON and needs no orchestrator, tracker or table format, so it runs on a
bare GPU machine. The specification of a VAE stage:

    {"kind": "vae", "stage": ..., "architecture": VAEConfig, "objective": VAEStageConfig,
     "training": TrainingConfig, "train": FILE.npz, "validation": FILE.npz,
     "bars": FILE.npz or null, "start_from": FOLDER or null, "device": "cpu", "num_threads": 2}

of PianoTree VAE the same with kind "pianotree" and without "stage", "bars" and "start_from";
and of the diffusion model:

    {"kind": "diffusion", "denoiser": DenoiserConfig, "noise_schedule": NoiseScheduleConfig,
     "training": TrainingConfig, "dataset": FOLDER, "device": "cpu", "num_threads": 2}
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import torch

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import fit
from phrase_models.training.randomness import seed_everything
from phrase_models.training.watchdog import exit_with_parent


def train_vae_stage(spec: dict[str, Any], state: Path, output: Path) -> dict[str, Any]:
    """Train one stage of PhraseVAE and write its weights to `output`."""
    from phrase_models.vae.config import VAEConfig, VAEStageConfig
    from phrase_models.vae.model import PhraseVAE
    from phrase_models.vae.phrase_table import PhraseTable
    from phrase_models.vae.pretrained import save_vae
    from phrase_models.vae.stages import build_training, start_stage

    training = TrainingConfig.model_validate(spec["training"])
    seed_everything(training.seed, "initialise")
    vae = PhraseVAE(VAEConfig.model_validate(spec["architecture"]))
    start_stage(vae, spec["stage"], Path(spec["start_from"]) if spec["start_from"] else None)
    trainable = build_training(
        vae.to(spec["device"]),
        spec["stage"],
        VAEStageConfig.model_validate(spec["objective"]),
        training,
        PhraseTable.load(Path(spec["train"])),
        PhraseTable.load(Path(spec["validation"])),
        PhraseTable.load(Path(spec["bars"])) if spec["bars"] else None,
    )
    result = fit(trainable, training, state)
    save_vae(vae, spec["stage"], output)
    return result


def train_pianotree(spec: dict[str, Any], state: Path, output: Path) -> dict[str, Any]:
    """Train PianoTree VAE, the baseline, on whole bars and write it to `output`."""
    from phrase_models.vae.phrase_table import PhraseTable
    from phrase_models.vae.pianotree import PianoTreeConfig, PianoTreeObjective, PianoTreeVAE
    from phrase_models.vae.pianotree_training import PianoTreeTraining, save_pianotree

    training = TrainingConfig.model_validate(spec["training"])
    seed_everything(training.seed, "initialise")
    vae = PianoTreeVAE(PianoTreeConfig.model_validate(spec["architecture"]))
    trainable = PianoTreeTraining(
        vae.to(spec["device"]),
        PianoTreeObjective.model_validate(spec["objective"]),
        training,
        PhraseTable.load(Path(spec["train"])),
        PhraseTable.load(Path(spec["validation"])),
    )
    result = fit(trainable, training, state)
    save_pianotree(vae, output)
    return result


def train_diffusion(spec: dict[str, Any], state: Path, output: Path) -> dict[str, Any]:
    """Train PhraseLDM and write it to `output`."""
    from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
    from phrase_models.diffusion.dataset import read_dataset
    from phrase_models.diffusion.model import PhraseLDM
    from phrase_models.diffusion.training import DiffusionTraining

    training = TrainingConfig.model_validate(spec["training"])
    dataset = read_dataset(Path(spec["dataset"]))
    model = PhraseLDM.for_dataset(
        dataset,
        DenoiserConfig.model_validate(spec["denoiser"]),
        NoiseScheduleConfig.model_validate(spec["noise_schedule"]),
        seed=training.seed,
    )
    model.denoiser.to(spec["device"])
    result = fit(DiffusionTraining(model, dataset, training), training, state)
    model.save(output)
    return result


KINDS = {"vae": train_vae_stage, "pianotree": train_pianotree, "diffusion": train_diffusion}


def configure_torch(num_threads: int) -> None:
    """Threads, and the quicker way through matrix products.

    "medium" routes fp32 products to oneDNN, on processors without AMX at full fp32 accuracy and at
    twice the speed of the default on AMD machines.
    """
    torch.set_num_threads(num_threads)
    torch.set_float32_matmul_precision("medium")


def main() -> int:
    """Train by specification; exit code 2 and one sentence for what the user can mend."""
    parser = argparse.ArgumentParser(description="Train one model by a specification file.")
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="survives a kill; resumed from")
    parser.add_argument("--output", type=Path, required=True, help="gets the finished model")
    parser.add_argument("--parent", type=int, help="process to end with")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if arguments.parent:
        exit_with_parent(arguments.parent)
    spec = json.loads(arguments.spec.read_text())
    try:
        configure_torch(spec["num_threads"])
        if spec["kind"] not in KINDS:
            message = f"Unknown kind of training {spec['kind']!r}; there are {sorted(KINDS)}."
            raise ConfigurationError(message)
        arguments.output.mkdir(parents=True, exist_ok=True)
        result = KINDS[spec["kind"]](spec, arguments.state, arguments.output)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    (arguments.output / "result.json").write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
