"""Train a denoiser that exists on, under a changed loss and dropout, on any machine.

    python -m benchmarks.train_on PACK VAE LDM OUTPUT --steps 1500 --learning-rate 4e-4

PACK is made by `benchmarks.headline_pack`, VAE and LDM are folders of trained models, such as those
of a release. Latents are those of the encoder alone. OUTPUT holds them in `dataset/`, checkpoints
in `state/`, from which the same command goes on, and the averaged weights at the end in `ldm/`. The
learning rate falls over the steps, as `TrainingConfig` has it.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.gpu_headline import run_all, say, write_dataset
from benchmarks.packed_songs import read_slots
from phrase_models.codec import PhraseCodec
from phrase_models.diffusion.dataset import read_dataset
from phrase_models.diffusion.model import PhraseLDM, PhraseLDMConfig
from phrase_models.diffusion.pretrained import load_ldm, save_ldm
from phrase_models.diffusion.training import DiffusionTraining
from phrase_models.tokens import vocabulary
from phrase_models.training.config import TrainingConfig
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.specification import HardwareConfig


def changed(model: PhraseLDM, dropout: float, schedule: dict[str, float]) -> PhraseLDM:
    """The same weights under another dropout and other fields of the noise schedule."""
    config = model.config.model_dump()
    config["denoiser"]["dropout"] = dropout
    config["noise_schedule"] |= schedule
    checked = PhraseLDMConfig.model_validate(config)
    for module in model.denoiser.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    model.denoiser.config = checked.denoiser
    return PhraseLDM(
        checked,
        model.normalizer,
        model.length_prior,
        model.empty_slot_latents,
        denoiser=model.denoiser,
    )


def encode(pack: Path, vae: Path, folder: Path) -> None:
    """Latents of all songs by the encoder alone, as a dataset folder."""
    if (folder / "dataset.json").exists():
        return
    songs, phrases, chords = read_slots(pack)
    codec = PhraseCodec.load(vae, "role")
    specials = codec.encode_phrases([[vocabulary.END_OF_SONG], [vocabulary.EMPTY_SLOT]])
    write_dataset(folder, songs, phrases, chords, codec.encode_phrases(phrases), specials, {})


def short_training(num_steps: int, **fields: Any) -> TrainingConfig:
    """Some steps in bf16, measured and kept at every quarter; the last weights are the outcome."""
    quarter = max(1, num_steps // 4)
    return TrainingConfig(
        num_steps=num_steps,
        validate_every=quarter,
        checkpoint_every=quarter,
        precision="bf16",
        keep="last",
        **fields,
    )


def main() -> None:
    """Encode, train, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("pack", "vae", "ldm", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--skip-variance", type=float, default=0.05)
    parser.add_argument("--snr-weight-limit", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    prepare_torch(HardwareConfig(device="cpu", num_threads=chosen.threads))
    encode(chosen.pack, chosen.vae, chosen.output / "dataset")
    schedule = {
        "skip_variance": chosen.skip_variance,
        "snr_weight_limit": chosen.snr_weight_limit,
    }
    model = changed(load_ldm(chosen.ldm), chosen.dropout, schedule)
    training = short_training(
        chosen.steps,
        seed=chosen.seed,
        batch_size=chosen.batch,
        learning_rate=chosen.learning_rate,
        ema_decay=0.998,
    )
    trainable = DiffusionTraining(model, read_dataset(chosen.output / "dataset"), training)
    with torch.no_grad():
        say(f"before: {trainable.validate()}")
    say(str(run_all(trainable, training, chosen.output / "state", lambda _: None)))
    save_ldm(model, chosen.output / "ldm")


if __name__ == "__main__":
    main()
