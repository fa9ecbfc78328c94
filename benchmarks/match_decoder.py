"""Tune the decoder of a PhraseVAE on what a denoiser leaves of real songs.

    python -m benchmarks.match_decoder PACK VAE LDM OUTPUT --steps 800

The fourth training of the VAE (`decoder_tuning`) puts Gaussian noise on latents; the errors that a
denoiser leaves are others. Here every training song gets noise up to some times, is denoised under
its own plan, and the decoder learns to say the song's phrases from that, and in a quarter of the
rows from Gaussian noise as before. Encoder and posterior stay, so latents stay valid.

PACK is made by `benchmarks.headline_pack`; VAE and LDM are folders of trained models. OUTPUT holds
the latents in `dataset/` and `denoised/`, checkpoints in `state/`, from which the same command goes
on, and the VAE at the end in `vae/`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu_headline import run_all, say
from benchmarks.packed_songs import slots_of_songs
from benchmarks.train_on import encode, short_training
from phrase_models.diffusion.dataset import LatentSong, read_dataset
from phrase_models.diffusion.pretrained import load_ldm
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.sampling import draw_songs
from phrase_models.form.form_extraction import is_silent
from phrase_models.training.config import TrainingConfig
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.randomness import numpy_generator
from phrase_models.training.specification import HardwareConfig
from phrase_models.vae.config import VAEObjectiveConfig
from phrase_models.vae.decoder_tuning import DecoderTuning
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_table import PhraseTable, teacher_forcing
from phrase_models.vae.pretrained import load_vae, save_vae
from phrase_models.vae.training import PreparedBatch, cross_entropy

TIMES = ((0.15, 1.0), (0.3, 1.5), (0.45, 1.5))
"""Time from which songs are denoised, and with which guidance."""
DENOISING_STEPS = 5
DENOISED_SHARE = 0.75


class DenoisedTuning(DecoderTuning):
    """The decoder's training on denoised latents, some of them with Gaussian noise instead.

    Attributes:
        clean: (N, D), latents of the table's phrases.
        denoised: (L, N, D), what was left of them, once for each of TIMES.
    """

    def __init__(
        self,
        vae: PhraseVAE,
        training: TrainingConfig,
        phrases: PhraseTable,
        validation: PhraseTable,
        clean: NDArray[np.float32],
        denoised: NDArray[np.float32],
    ) -> None:
        super().__init__(vae, VAEObjectiveConfig(), training, phrases, validation)
        self.phrases = phrases
        self.clean, self.denoised = torch.from_numpy(clean), torch.from_numpy(denoised)
        self.order = np.argsort(phrases.lengths, kind="stable")
        self.ends = np.cumsum(phrases.lengths[self.order])

    def prepare(self, step: int) -> PreparedBatch:
        """Phrases of nearly one length; long ones come up as often as they have tokens."""
        rng = numpy_generator(self.training.seed, "denoised", step)
        middle = int(np.searchsorted(self.ends, rng.random() * self.ends[-1]))
        longest = int(self.phrases.lengths[self.order[middle]])
        size = max(8, self.training.batch_size // max(8, longest))
        first = max(0, min(middle - 2 * size, len(self.order) - 5 * size))
        near = self.order[first : first + 5 * size]
        rows = rng.choice(near, min(size, len(near)), replace=False)
        inputs, targets = teacher_forcing(self.phrases.padded(rows))
        lengths = torch.from_numpy(self.phrases.lengths[rows] + 1)
        which = torch.from_numpy(rng.integers(len(self.denoised), size=len(rows)))
        left = self.denoised[which, torch.from_numpy(rows)]
        is_denoised = torch.from_numpy(rng.random((len(rows), 1)) < DENOISED_SHARE)
        drawn = (self.clean[rows], left, is_denoised)
        return PreparedBatch(step, inputs, inputs, targets, lengths, drawn)

    def batch(self, step: int) -> PreparedBatch:
        """The batch of a step with its latents drawn."""
        batch = self.prepared(step)
        clean, left, is_denoised = batch.drawn
        levels = self.config.noise_range * torch.rand(len(batch), 1)
        noisy = clean + levels * self.deviation.cpu() * torch.randn_like(clean)
        latents = torch.where(is_denoised, left, noisy).to(self.device)
        return replace(batch, drawn=(latents,))

    def loss(self, batch: PreparedBatch, rows: slice) -> dict[str, Tensor]:
        """What rows have in the cross-entropy of a batch."""
        part = batch[rows]
        (latents,) = part.drawn
        logits = self.module.decode(part.inputs, self.module.memory(latents))
        reconstruction = cross_entropy(logits, part.targets) * (part.num_tokens / batch.num_tokens)
        return {"loss": reconstruction, "reconstruction": reconstruction}


def denoise_songs(ldm: Path, songs: list[LatentSong], folder: Path) -> NDArray[np.float32]:
    """The songs' latents after noise and denoising (L, bars, S, D), kept in a folder.

    What a second pass denoises are the real songs, in place of those of a first pass of one step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = load_ldm(ldm)
    for number, (time, guidance) in enumerate(TIMES):
        path = folder / f"{time}.npy"
        if path.exists():
            continue
        sampler = SamplerConfig(
            num_sampling_steps=1,
            force_silence=True,
            precision="bf16",
            second_pass=time,
            second_pass_steps=DENOISING_STEPS,
            second_pass_guidance=guidance,
        )
        plans, real = [song.plan for song in songs], iter(songs)

        def instead(drawn: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
            return [np.asarray(song.latents) for song in islice(real, len(drawn))]  # noqa: B023

        drawn = draw_songs(model, plans, number, sampler, batch_size=4, reencode=instead)
        np.save(path, np.concatenate(drawn))
        say(f"denoised from {time}")
    return np.stack([np.load(folder / f"{time}.npy") for time, _ in TIMES])


def distinct_cells(songs: list[list[list[int]]]) -> NDArray[np.int64]:
    """Numbers of the slots, over all songs, that hold a phrase for the first time in their song."""
    found, first = [], 0
    for phrases in songs:
        seen: set[tuple[int, ...]] = set()
        for offset, phrase in enumerate(phrases):
            if tuple(phrase) not in seen and not is_silent(phrase):
                seen.add(tuple(phrase))
                found.append(first + offset)
        first += len(phrases)
    return np.array(found, np.int64)


def main() -> None:
    """Encode, denoise, tune, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("pack", "vae", "ldm", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--tokens", type=int, default=4096, help="of a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    prepare_torch(HardwareConfig(device="cpu", num_threads=chosen.threads))
    encode(chosen.pack, chosen.vae, chosen.output / "dataset")
    dataset = read_dataset(chosen.output / "dataset")
    songs = sorted(dataset.split("train"), key=lambda song: len(song.latents))
    denoised = denoise_songs(chosen.ldm, songs, chosen.output / "denoised")

    slots = slots_of_songs(chosen.pack, [song.song_id for song in songs])
    cells = distinct_cells(slots)
    everything = [phrase for of_song in slots for phrase in of_song]
    table = PhraseTable.from_rows([everything[cell] for cell in cells.tolist()])
    clean = np.concatenate([song.latents for song in songs]).reshape(-1, dataset.latent_dim)
    left = denoised.reshape(len(TIMES), -1, dataset.latent_dim)

    training = short_training(
        chosen.steps,
        seed=chosen.seed,
        batch_size=chosen.tokens,
        learning_rate=chosen.learning_rate,
        warmup_steps=50,
        ema_decay=0.99,
    )
    vae = load_vae(chosen.vae)
    validation = PhraseTable.load(chosen.pack / "phrase-validation.npz")
    tuning = DenoisedTuning(vae, training, table, validation, clean[cells], left[:, cells])
    say(f"{len(table)} phrases")
    say(str(run_all(tuning, training, chosen.output / "state", lambda _: None)))
    save_vae(vae.eval(), "decoder", chosen.output / "vae")


if __name__ == "__main__":
    main()
