"""Builders and folders shared by the tests."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA_CANDIDATES = (
    os.environ.get("PHRASELDM_TEST_DATA", ""),
    str(Path(__file__).resolve().parents[2] / "shared" / "data"),
)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes what the user's own cache holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHRASE_LDM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def pop909_root() -> Path:
    """The folder that holds both checkouts and the golden files."""
    for candidate in DATA_CANDIDATES:
        if candidate and (Path(candidate) / "POP909-Dataset").is_dir():
            return Path(candidate)
    pytest.skip(
        "POP909 is not here: put both checkouts into ../shared/data or name their folder "
        "in PHRASELDM_TEST_DATA"
    )


@dataclass(frozen=True)
class PlannedPair:
    """A pair of models that learnt nothing but looks at sections, form, chords and texture.

    Attributes:
        vae: folder of a PhraseVAE.
        ldm: folder of a PhraseLDM.
        plans: its training songs' plans, with form, chords and texture.
    """

    vae: Path
    ldm: Path
    plans: list[Any]


def real_plans(num_songs: int) -> list[Any]:
    """Plans of composed songs, their forms and textures as they are in the notes."""
    from phrase_models.diffusion.plan import SongPlan
    from phrase_models.form.form_extraction import form_of_slots
    from phrase_models.form.texture import texture_of_slots
    from phrase_models.score.chords import chord_array
    from phrase_models.sources.synthetic.composer import SyntheticConfig, compose_song
    from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars

    config = SyntheticConfig(num_songs=num_songs, seed=0, min_bars=8, max_bars=12)
    songs = [compose_song(config, index).song for index in range(num_songs)]
    slots = [bars_to_slots(song_to_bars(song), "role") for song in songs]
    return [
        SongPlan(
            song.num_bars,
            song.sections,
            form_of_slots(of_song, song.sections),
            chord_array(song.chords, song.num_bars),
            texture_of_slots(of_song),
        )
        for song, of_song in zip(songs, slots, strict=True)
    ]


def write_planned_ldm(folder: Path, latent_dim: int) -> list[Any]:
    """A PhraseLDM with random weights that looks at every condition; returns its songs' plans."""
    import torch

    from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
    from phrase_models.diffusion.model import PhraseLDM, PhraseLDMConfig
    from phrase_models.diffusion.pretrained import save_ldm
    from phrase_models.form.bar_lines import BarLines
    from phrase_models.normalizer import fit_normalizer

    torch.manual_seed(0)
    denoiser = DenoiserConfig(
        num_layers=1, model_dim=16, num_heads=2, feedforward_dim=24, max_bars=32,
        form_condition=True, all_sections_bias=True, bar_lags=(2, 4), num_chords=49,
        texture_condition=True,
    )  # fmt: skip
    config = PhraseLDMConfig(
        denoiser=denoiser,
        noise_schedule=NoiseScheduleConfig(),
        layout="role",
        slots_per_bar=3,
        latent_dim=latent_dim,
    )
    latents = np.random.default_rng(1).normal(size=(40, 3, latent_dim)).astype(np.float32)
    plans, empty = real_plans(6), np.full((3, latent_dim), -2.5, np.float32)
    lines = BarLines(np.array([[1.0], [1.0], [0.0]]) * -np.abs(np.arange(-13, 14) / 13))
    model = PhraseLDM(config, fit_normalizer(latents, "slot"), plans, empty, bar_lines=lines)
    with torch.no_grad():  # a fresh network ends in zeros, whatever it is told
        for parameter in model.denoiser.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    save_ldm(model, folder)
    return plans


@pytest.fixture(scope="session")
def planned_pair(tmp_path_factory) -> PlannedPair:
    import torch

    from phrase_models.vae.config import VAEConfig
    from phrase_models.vae.model import PhraseVAE
    from phrase_models.vae.pretrained import save_vae

    folder = tmp_path_factory.mktemp("planned")
    torch.manual_seed(0)
    sizes = {"model_dim": 16, "feedforward_dim": 32, "num_heads": 2, "head_dim": 8}
    sizes |= {"num_encoder_layers": 1, "num_decoder_layers": 1, "num_queries": 2}
    vae = VAEConfig(**sizes, latent_dim=4, dropout=0.0, max_tokens=24)
    save_vae(PhraseVAE(vae), "vae", folder / "vae")
    return PlannedPair(folder / "vae", folder / "ldm", write_planned_ldm(folder / "ldm", 4))


@pytest.fixture(scope="session")
def planned_ldm():
    """Writes a PhraseLDM of a latent size into a folder; returns the plans of its songs."""
    return write_planned_ldm
