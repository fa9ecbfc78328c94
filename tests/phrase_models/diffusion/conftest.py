"""Small models and songs for the tests of PhraseLDM."""

import json
from pathlib import Path

import numpy as np
import pytest

from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm, roots
from phrase_models.form.texture import NO_TEXTURE, NUM_TEXTURE_VALUES, UNKNOWN_TEXTURE
from phrase_models.form.texture_and_form import of_roots

LAYOUTS = ("i2 A4 B4 A4 B4 o1", "i1 A3 A3 x2 B4 B4", "A8", "i4 A4 b2 A4 X1 q3 F2", "A2 B2 A2 B2 C2")


def small_config(**changes) -> DenoiserConfig:
    values = {
        "num_layers": 2,
        "model_dim": 32,
        "num_heads": 2,
        "feedforward_dim": 48,
        "max_bars": 32,
        **changes,
    }
    return DenoiserConfig.model_validate(values)


def paper_config(**changes) -> DenoiserConfig:
    """The paper's recipe at a small size."""
    values = {
        "patch_bars": False,
        "section_style": "prompt",
        "global_conditioning": "added",
        "rotary_axes": "token",
        "repeat_bias": False,
        "self_conditioning": False,
        "condition_dropout": 0.0,
        "permute_letters": False,
        "pad_with_end": True,
        **changes,
    }
    return small_config(**values)


def form_config(**changes) -> DenoiserConfig:
    """Every condition at once."""
    values = {
        "form_condition": True,
        "all_sections_bias": True,
        "bar_lags": (2, 4),
        "num_chords": 49,
        "given_share": 0.5,
        "texture_condition": True,
        **changes,
    }
    return small_config(**values)


def random_form(num_bars: int, seed: int) -> SongForm:
    """A form in which every state occurs; later bars take up earlier ones."""
    rng = np.random.default_rng(seed)
    states = np.full((num_bars, 3), CellState.NEW, np.int8)
    sources = np.full((num_bars, 3), NO_SOURCE)
    for bar, slot in np.ndindex(num_bars, 3):
        state = CellState(int(rng.choice(5, p=[0.2, 0.2, 0.4, 0.1, 0.1])))
        heard = np.flatnonzero(states[:bar, slot] != CellState.SILENT)
        if state == CellState.SILENT or len(heard):
            states[bar, slot] = state
        if state > CellState.NEW and len(heard):
            sources[bar, slot] = rng.choice(heard)
    return SongForm(states, sources)


def random_plan(layout: str, seed: int) -> SongPlan:
    """Sections, form, chords and texture."""
    sections = plan_from_layout(layout)
    rng = np.random.default_rng(seed)
    chords = rng.integers(-1, 49, size=(sections.num_bars, 2))
    form = random_form(sections.num_bars, seed)
    texture = rng.integers(NO_TEXTURE, NUM_TEXTURE_VALUES, size=(sections.num_bars, 3, 5))
    texture = of_roots(np.where(texture == NO_TEXTURE, UNKNOWN_TEXTURE, texture), form)
    texture[form.states == CellState.SILENT] = NO_TEXTURE
    return SongPlan(sections.num_bars, sections.sections, form, chords, texture)


CONFIGS = {
    "base": small_config(),
    "base slots": small_config(patch_bars=False),
    "base length": small_config(conditioning="length", repeat_bias=False),
    "base none": small_config(conditioning="none", repeat_bias=False),
    "paper sections": paper_config(),
    "paper length": paper_config(conditioning="length"),
    "paper none": paper_config(conditioning="none"),
    "prompt masked": small_config(section_style="prompt", repeat_bias=False),
}


def write_dataset(folder: Path, *, num_songs: int = 5, latent_dim: int = 6) -> Path:
    """Songs whose bars repeat as their layouts say, with raw latents far from unit scale."""
    rng = np.random.default_rng(7)
    rows, songs = [], []
    for index in range(num_songs):
        layout = LAYOUTS[index % len(LAYOUTS)]
        num_bars = sum(int("".join(filter(str.isdigit, part))) for part in layout.split())
        songs.append(
            {
                "song_id": f"{index:03d}",
                "split": "validation" if index == 2 else "train",
                "first_row": sum(len(row) for row in rows),
                "num_bars": num_bars,
                "section_layout": layout,
            }
        )
        rows.append(rng.normal(size=(num_bars * 3, latent_dim)).astype(np.float32) * 3 + 1)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "latents.npy", np.concatenate(rows))
    (folder / "songs.json").write_text(json.dumps(songs))
    (folder / "dataset.json").write_text(
        json.dumps(
            {
                "layout": "role",
                "slots_per_bar": 3,
                "latent_dim": latent_dim,
                "end_of_song_latent": [0.5] * latent_dim,
            }
        )
    )
    return folder


def write_form_dataset(folder: Path) -> Path:
    """The same songs with form and chords, which their latents obey; silence is 9."""
    write_dataset(folder)
    latents, songs = (
        np.load(folder / "latents.npy"),
        json.loads((folder / "songs.json").read_text()),
    )
    plans = [random_plan(song["section_layout"], index) for index, song in enumerate(songs)]
    for song, plan in zip(songs, plans, strict=True):
        rows = latents[song["first_row"] :][: song["num_bars"] * 3].reshape(-1, 3, 6)
        rows[:] = np.take_along_axis(rows, roots(plan.form)[..., None], axis=0)
        rows[plan.form.states == CellState.SILENT] = 9.0
    np.save(folder / "latents.npy", latents)
    PlanArrays.of_plans(plans).write(folder)
    return folder


@pytest.fixture(scope="session")
def form_dataset_folder(tmp_path_factory) -> Path:
    return write_form_dataset(tmp_path_factory.mktemp("form"))


@pytest.fixture
def make_form_config():
    """Builder: every condition, with changes."""
    return form_config


@pytest.fixture
def make_plan():
    """Builder: (layout, seed) -> a plan with random form and chords."""
    return random_plan


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("latents"))


@pytest.fixture(params=CONFIGS.values(), ids=list(CONFIGS))
def config(request) -> DenoiserConfig:
    """Every conditioning in both profiles."""
    return request.param


@pytest.fixture
def base_config() -> DenoiserConfig:
    return CONFIGS["base"]


@pytest.fixture
def make_config():
    """Builder: (profile, **changes) -> DenoiserConfig."""
    return lambda profile="base", **changes: (
        small_config(**changes) if profile == "base" else paper_config(**changes)
    )
