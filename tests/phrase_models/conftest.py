"""A toy corpus, and every generator made of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from phrase_models.generator import Generator, GeneratorInputs
from phrase_models.metrics.evaluated_song import EvaluatedSong, TrainingReference
from phrase_models.score.song import Song

LATENT_DIM = 4
NUM_SONGS = 6


@dataclass(frozen=True)
class ToyCorpus:
    """Songs in C with random latents, and the folders of a pair of models that learnt nothing.

    Attributes:
        songs: of a few bars.
        reference: the same with latents.
        training: their melodies, indexed.
        vae: folder of a PhraseVAE.
        diffusion: folder of a PhraseLDM; its length prior has the plans of the songs.
        binomial: folder of a binomial diffusion; its layouts are those of the songs.
    """

    songs: list[Song]
    reference: list[EvaluatedSong]
    training: TrainingReference
    vae: Path
    diffusion: Path
    binomial: Path

    def generator(self, name: str, state: Path | None = None) -> Generator:
        """A generator by name."""
        from phrase_models.diffusion.sampler_config import SamplerConfig
        from phrase_models.generators import generator_entry

        return generator_entry(name).build(
            GeneratorInputs(
                folders={
                    "vae": self.vae,
                    "diffusion": self.diffusion,
                    "binomial": self.binomial,
                },
                digests={
                    "songs": "5" * 64,
                    "vae": "a" * 64,
                    "diffusion": "d" * 64,
                    "binomial": "b" * 64,
                },
                training_songs=lambda: self.songs,
                sampler=SamplerConfig(num_sampling_steps=2),
                state=state,
            )
        )


def write_models(songs: list[Song], folder: Path) -> tuple[Path, Path]:
    """A PhraseVAE and a PhraseLDM with random weights."""
    import torch

    from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
    from phrase_models.diffusion.model import PhraseLDM, PhraseLDMConfig
    from phrase_models.diffusion.plan import SongPlan
    from phrase_models.diffusion.pretrained import save_ldm
    from phrase_models.normalizer import fit_normalizer
    from phrase_models.vae.config import VAEConfig
    from phrase_models.vae.model import PhraseVAE
    from phrase_models.vae.pretrained import save_vae

    torch.manual_seed(0)
    vae = VAEConfig(
        model_dim=16,
        feedforward_dim=32,
        num_heads=2,
        head_dim=8,
        num_encoder_layers=1,
        num_decoder_layers=1,
        num_queries=2,
        latent_dim=LATENT_DIM,
        dropout=0.0,
        max_tokens=24,
    )
    save_vae(PhraseVAE(vae), "vae", folder / "vae")
    denoiser = DenoiserConfig(
        num_layers=1, model_dim=16, num_heads=2, feedforward_dim=24, max_bars=32
    )
    config = PhraseLDMConfig(
        denoiser=denoiser,
        noise_schedule=NoiseScheduleConfig(),
        layout="role",
        slots_per_bar=3,
        latent_dim=LATENT_DIM,
    )
    latents = np.random.default_rng(1).normal(size=(40, 3, LATENT_DIM)).astype(np.float32)
    plans = [SongPlan(song.num_bars, song.sections) for song in songs]
    save_ldm(PhraseLDM(config, fit_normalizer(latents, "slot"), plans), folder / "diffusion")
    return folder / "vae", folder / "diffusion"


def write_binomial(songs: list[Song], folder: Path) -> Path:
    """A binomial diffusion with the weights that it begins with."""
    import torch

    from phrase_models.binomial.config import (
        BinomialConfig,
        BinomialSamplerConfig,
        RollConfig,
        TimeNetworkConfig,
    )
    from phrase_models.binomial.model import BinomialDiffusion, KnownLayout
    from phrase_models.binomial.pretrained import save_binomial
    from phrase_models.score.song import format_section_layout

    torch.manual_seed(0)
    network = TimeNetworkConfig(step_dim=8, beat_dim=8, bar_dim=8, num_bar_layers=1, num_heads=2)
    config = BinomialConfig(roll=RollConfig(segment_bars=4), network=network)
    densities = torch.full((config.roll.num_planes, config.roll.num_pitches), 0.02)
    layouts = [KnownLayout(song.num_bars, format_section_layout(song.sections)) for song in songs]
    model = BinomialDiffusion(config, densities, layouts)
    save_binomial(model, folder, BinomialSamplerConfig(num_sampling_steps=2))
    return folder


@pytest.fixture(scope="session")
def toy_corpus(tmp_path_factory) -> ToyCorpus:
    from phrase_models.generation_metrics import real_song
    from phrase_models.metrics.evaluated_song import build_training_reference
    from phrase_models.metrics.memorisation import build_training_melodies, melody_tokens
    from phrase_models.sources.synthetic.composer import SyntheticConfig, compose_song

    config = SyntheticConfig(num_songs=NUM_SONGS, seed=0, min_bars=8, max_bars=12)
    songs = [compose_song(config, index).song for index in range(NUM_SONGS)]
    rng = np.random.default_rng(0)
    latents = [rng.normal(size=(song.num_bars, 3, LATENT_DIM)) for song in songs]
    bar_end = rng.normal(size=LATENT_DIM).astype(np.float32)
    reference = [
        real_song(song, values.astype(np.float32), "role", bar_end)
        for song, values in zip(songs, latents, strict=True)
    ]
    melodies = {song.song_id: melody_tokens(song) for song in songs}
    training = build_training_reference(build_training_melodies(melodies))
    vae, diffusion = write_models(songs, tmp_path_factory.mktemp("models"))
    binomial = write_binomial(songs, tmp_path_factory.mktemp("binomial"))
    return ToyCorpus(songs, reference, training, vae, diffusion, binomial)


@pytest.fixture
def written_song() -> Callable[..., Song]:
    """Builder of songs from pitches: a bar of each, on one program."""
    from phrase_models.score.song import MELODY, Note, Track, parse_section_layout

    def build(*pitches: int, layout: str = "", song_id: str = "s") -> Song:
        notes = tuple(Note(48 * bar, pitch, 12) for bar, pitch in enumerate(pitches))
        sections = parse_section_layout(layout) if layout else ()
        return Song(song_id, len(pitches), (Track(MELODY, notes),), sections)

    return build
