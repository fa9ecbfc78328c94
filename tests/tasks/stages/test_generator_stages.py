"""Any generator through the stages of generation and evaluation, and the recipe for a new one."""

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from phrase_models import generators
from phrase_models.diffusion.pretrained import save_ldm
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.generator import GeneratorEntry
from phrase_models.generators import GENERATORS, generator_entry
from storage.artifacts import ArtifactRef, ArtifactStore
from tasks.engine.code_closure import closure, stage_modules
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import Session, stage_key
from tasks.engine.tracker import NullTracker
from tasks.reports.song_values import SONG_VALUES, SongValues, song_values_of
from tasks.settings.presets import load_preset
from tasks.settings.stages import GenerationConfig
from tasks.stages.binomial_rolls import rolls_stage
from tasks.stages.collect_rolls import plain_rolls_stage
from tasks.stages.compose_corpus import corpus_stage
from tasks.stages.encode_latents import latents_stage
from tasks.stages.evaluate_songs import evaluation_stage
from tasks.stages.generate_songs import generation_stage
from tasks.stages.ingest_songs import ingest_stage
from tasks.stages.rows import read_training_songs

RECIPES = Path(__file__).resolve().parents[3] / "docs" / "extending.md"
CONFIG = load_preset("smoke").with_overrides({"evaluation.num_reference_songs": "2"})


@contextmanager
def no_tracking(stage, key, state):
    yield NullTracker()


@dataclass
class World:
    """A small corpus in a store, and models that learnt nothing."""

    runner: PlainRunner
    inputs: dict[str, ArtifactRef]
    latents: ArtifactRef

    def generate(self, name: str, **changes) -> ArtifactRef:
        return self.runner.run(self.generation_stage(name, **changes))

    def generation_stage(self, name: str, **changes):
        settings = {"num_songs": 2, "seed": 3, "audio_seconds": 0.5} | changes
        config = GenerationConfig(
            generator=name, sampler=SamplerConfig(num_sampling_steps=2), **settings
        )
        return generation_stage(config, generator_entry(name), self.inputs)

    def evaluated(self, generated: ArtifactRef) -> Path:
        """Folder of `evaluate_songs`."""
        stage = evaluation_stage(CONFIG, self.inputs["songs"], self.latents, generated)
        return self.runner.run(stage).folder

    def evaluate(self, generated: ArtifactRef) -> bytes:
        """`metrics.json`."""
        return (self.evaluated(generated) / "metrics.json").read_bytes()

    def song_values(self, generated: ArtifactRef) -> dict[str, SongValues]:
        """`song_values.json`."""
        return song_values_of(json.loads((self.evaluated(generated) / SONG_VALUES).read_text()))


def commit_model(store: ArtifactStore, stage: str, save) -> ArtifactRef:
    key = {"train_vae": "e", "train_diffusion": "d", "train_binomial": "b"}[stage] * 64
    with store.lock(stage, key):
        save(store.work(stage, key).output)
        return store.commit(stage, key, config={}, inputs={}, code={}, version=1, meta={})


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    import torch

    from phrase_models.binomial.dataset import read_dataset
    from phrase_models.binomial.model import BinomialDiffusion
    from phrase_models.binomial.pretrained import save_binomial
    from phrase_models.diffusion.model import PhraseLDM, PhraseLDMConfig
    from phrase_models.diffusion.plan import SongPlan
    from phrase_models.normalizer import fit_normalizer
    from phrase_models.vae.model import PhraseVAE
    from phrase_models.vae.pretrained import save_vae
    from storage.latents import read_latents

    store = ArtifactStore(tmp_path_factory.mktemp("world"))
    runner = PlainRunner(Session(store, RuntimeConfig(), no_tracking))
    songs = runner.run(ingest_stage(CONFIG, corpus=runner.run(corpus_stage(CONFIG))))
    torch.manual_seed(0)
    vae_model = PhraseVAE(CONFIG.vae)
    vae = commit_model(store, "train_vae", lambda folder: save_vae(vae_model, "vae", folder))
    latents = runner.run(latents_stage(CONFIG, songs, vae))
    training = read_training_songs(songs.folder)
    stored = read_latents(latents.folder)
    model = PhraseLDM(
        PhraseLDMConfig(
            denoiser=CONFIG.denoiser,
            noise_schedule=CONFIG.noise_schedule,
            layout="role",
            slots_per_bar=3,
            latent_dim=CONFIG.vae.latent_dim,
        ),
        fit_normalizer(stored.song(training[0].song_id), "slot"),
        [SongPlan(8)],
    )
    diffusion = commit_model(store, "train_diffusion", partial(save_ldm, model))
    rolls = runner.run(plain_rolls_stage(runner.run(rolls_stage(CONFIG, songs))))
    recipe = CONFIG.require_binomial().recipe
    binomial_model = BinomialDiffusion.for_dataset(
        read_dataset(rolls.folder), recipe.noise, recipe.network, recipe.objective, seed=0
    )
    binomial = commit_model(store, "train_binomial", partial(save_binomial, binomial_model))
    inputs = {"songs": songs, "vae": vae, "diffusion": diffusion, "binomial": binomial}
    return World(runner, inputs, latents)


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> GeneratorEntry:
    """The generator of `docs/extending.md`, written and listed as that page says."""
    section = re.search(r"## A generator\n(.*?)(?=\n## |\Z)", RECIPES.read_text(), re.DOTALL)
    file, line = re.findall(r"```python\n(.*?)```", section[1], re.DOTALL)
    package = tmp_path / "added_generators"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "first_bar.py").write_text(file)
    monkeypatch.syspath_prepend(tmp_path)
    assert line.count("\n") == 1
    line = line.replace("phrase_models.baselines.", "added_generators.")
    (entry,) = eval(f"({line})", {"GeneratorEntry": GeneratorEntry})
    monkeypatch.setitem(generators.GENERATORS, entry.name, entry)
    return entry


def check_both_stages(world: World, name: str) -> None:
    """Generate, evaluate, and find what there should be."""
    generated = world.generate(name, num_bars=8)
    described = json.loads((generated.folder / "songs.json").read_text())
    assert [item["generator"] for item in described] == [name] * 2
    assert len(list((generated.folder / "midi").glob("*.mid"))) == 2
    assert "song-001" in (generated.folder / "gallery.html").read_text()
    metrics = json.loads(world.evaluate(generated))
    assert metrics["generated"].keys() == metrics["real"].keys() == metrics["held_out"].keys()
    has_latents = name == "phrase_ldm"
    for metric in ("srs", "srs_official"):
        assert (metrics["generated"][metric]["value"] is not None) is has_latents
        assert metrics["real"][metric]["value"] is not None
    values = world.song_values(generated)
    assert values["generated"].song_ids == ("3-0", "3-1")
    for column, songs in values.items():
        mean = metrics[column]["note_density"]["value"]
        assert np.mean(songs.values["note_density"]) == pytest.approx(mean)


@pytest.mark.parametrize("name", list(GENERATORS))
def test_every_generator_goes_through_generation_and_evaluation(world, name):
    check_both_stages(world, name)


def test_the_recipe_for_a_generator_is_one_file_and_one_line(world, recipe):
    check_both_stages(world, recipe.name)


@pytest.mark.parametrize("name", ["training_copies", "phrase_ldm"])
def test_transposing_the_files_changes_no_metric(world, name):
    in_c, moved = (world.generate(name, num_bars=8, transpose=key) for key in (0, 5))
    files = [ref.folder / "midi" / "song-000.mid" for ref in (in_c, moved)]
    assert files[0].read_bytes() != files[1].read_bytes()
    assert world.evaluate(in_c) == world.evaluate(moved)


def test_a_new_generator_leaves_the_songs_of_the_others_as_they_are(world, recipe):
    from phrase_models.generators import GENERATORS

    modules = {entry.name: entry.module for entry in GENERATORS.values()}
    assert "first_bar" in modules
    for name, module in modules.items():
        stage = world.generation_stage(name)
        reached = closure(stage_modules(stage.body, stage.code))
        assert module in reached
        others = {other for other in modules.values() if other != module}
        assert reached.keys() & (others | {"phrase_models.generators"}) == set()


def test_only_the_inputs_that_a_generator_needs_are_in_its_key(world):
    other_vae = ArtifactRef("train_vae", "b" * 64, "c" * 64, Path("elsewhere"))
    changed = World(world.runner, world.inputs | {"vae": other_vae}, world.latents)
    for name, depends in (("phrase_ldm", True), ("phrase_markov", False)):
        keys = {stage_key(each.generation_stage(name)) for each in (world, changed)}
        assert len(keys) == 1 + depends


def test_of_many_training_songs_some_are_read_whatever_others_there_are(world, caplog):
    caplog.set_level("INFO")
    folder = world.inputs["songs"].folder
    whole = read_training_songs(folder)
    assert read_training_songs(folder, len(whole)) == whole
    assert not caplog.messages
    some = read_training_songs(folder, 2)
    assert len(some) == 2
    assert some == [song for song in whole if song in some]
    names = sorted(
        (song.song_id for song in whole), key=lambda name: sha256(name.encode()).digest()
    )
    assert {song.song_id for song in some} == set(names[:2])
    assert caplog.messages == [f"Of {len(whole)} training songs 2 are read"]


def test_an_unknown_generator_is_refused_before_anything_runs():
    from tasks.launch import Request, launch

    request = Request(overrides={"generation.generator": "choir"})
    with pytest.raises(ConfigurationError, match="There is no generator 'choir'"):
        launch(request, orchestrated=False)
