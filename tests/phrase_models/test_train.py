"""Specifications of trainings: written and read by one model, and trained without an orchestrator.

That the weights depend on nothing but the recipe and the data is shown by the smoke pipeline.
"""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from phrase_models import trainings
from phrase_models.baselines.pianotree.specification import PianoTreeTrainingSpecification
from phrase_models.binomial.specification import BinomialTrainingSpecification
from phrase_models.diffusion.specification import (
    DiffusionRecipeConfig,
    DiffusionTrainingSpecification,
)
from phrase_models.errors import ConfigurationError
from phrase_models.score.song import MELODY, PIANO, Phrase, PhraseNote
from phrase_models.tokens.remiz import encode
from phrase_models.training.specification import HardwareConfig
from phrase_models.vae.phrase_table import PhraseTable, unit_table_path
from phrase_models.vae.specification import VAERecipeConfig, VAETrainingSpecification
from tasks.settings.presets import load_preset

ROOT = Path(__file__).resolve().parents[2]
HARDWARE = HardwareConfig(num_threads=2)
SMOKE = load_preset("smoke")


def vae_recipe(**training: int) -> VAERecipeConfig:
    section = SMOKE.infilling
    return VAERecipeConfig(
        phase="infilling",
        architecture=SMOKE.vae.for_phase("infilling"),
        objective=section.objective,
        training=section.training.model_copy(update=training),
    )


def specification(kind: str) -> trainings.AnySpecification:
    if kind == "vae":
        return VAETrainingSpecification(
            recipe=vae_recipe(), phrases=Path("/phrases"), hardware=HARDWARE
        )
    if kind == "pianotree":
        return PianoTreeTrainingSpecification(
            recipe=SMOKE.require_pianotree(), phrases=Path("/phrases"), hardware=HARDWARE
        )
    if kind == "binomial":
        return BinomialTrainingSpecification(
            recipe=SMOKE.require_binomial().recipe, dataset=Path("/rolls"), hardware=HARDWARE
        )
    recipe = DiffusionRecipeConfig(
        denoiser=SMOKE.denoiser, noise_schedule=SMOKE.noise_schedule, training=SMOKE.diffusion
    )
    return DiffusionTrainingSpecification(recipe=recipe, dataset=Path("/set"), hardware=HARDWARE)


@pytest.mark.parametrize("kind", list(trainings.TRAINERS))
def test_what_is_written_is_read_back_as_the_same_specification(tmp_path, kind):
    written = specification(kind)
    path = tmp_path / "spec.json"
    path.write_text(written.model_dump_json(indent=1))
    read = trainings.read_specification(path)
    assert type(read) is type(written)
    assert read == written
    assert json.loads(path.read_text())["kind"] == kind


def test_every_kind_has_a_trainer_that_takes_it():
    for member in get_args(get_args(trainings.AnySpecification)[0]):
        kind = member.model_fields["kind"].default
        trainer = import_module(trainings.TRAINERS[kind])
        assert trainer.train.__annotations__["spec"] is member


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "piano"}, "'piano'"),
        ({"speed": 3}, "vae.speed: Extra inputs"),
        ({"hardware": {"num_threads": 0}}, "vae.hardware.num_threads: Input should be greater"),
    ],
)
def test_a_specification_that_does_not_do_is_one_sentence(tmp_path, change, words):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(specification("vae").model_dump(mode="json") | change))
    with pytest.raises(ConfigurationError) as caught:
        trainings.read_specification(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="There is no specification"):
        trainings.read_specification(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("bar_share", "granularity", "reads"),
    [(0.5, "phrase", True), (0.0, "phrase", False), (0.5, "bar", False)],
)
def test_bars_are_read_where_they_are_mixed_into_phrases(bar_share, granularity, reads):
    recipe = vae_recipe()
    changed = recipe.model_copy(
        update={
            "objective": recipe.objective.model_copy(update={"bar_share": bar_share}),
            "architecture": recipe.architecture.model_copy(update={"granularity": granularity}),
        }
    )
    assert changed.reads_bars is reads


BARE_MACHINE = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {"prefect", "mlflow", "polars", "pyarrow"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from phrase_models.train import main
code = main()
print(*sorted(name for name in sys.modules if name.startswith(("phrase_models", "tasks"))))
sys.exit(code)
"""


@pytest.mark.slow
def test_a_bare_machine_trains_and_imports_only_the_network_it_trains(tmp_path):
    notes = (PhraseNote(0, 60, 12), PhraseNote(12, 64, 12))
    units = [tuple(encode(Phrase(program, notes))) for program in (MELODY, PIANO)]
    for granularity in ("phrase", "bar"):
        for split in ("train", "validation"):
            table = PhraseTable.from_counts(dict.fromkeys(units, 3))
            table.save(unit_table_path(tmp_path, granularity, split))
    budget = {"num_steps": 2, "validate_every": 2, "batch_size": 64}
    spec = VAETrainingSpecification(
        recipe=vae_recipe(**budget), phrases=tmp_path, hardware=HardwareConfig()
    )
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    command = [sys.executable, "-c", BARE_MACHINE]
    command += ["--spec", str(tmp_path / "spec.json"), "--state", str(tmp_path / "state")]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "output")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "output" / "result.json").read_text())["steps"] == 2
    assert (tmp_path / "output" / "model.safetensors").is_file()
    imported = set(done.stdout.split())
    assert "phrase_models.vae.trainer" in imported
    others = {name for name in imported if name.endswith((".trainer", "denoiser"))}
    assert others == {"phrase_models.vae.trainer"}
    assert not any(name.startswith("tasks") for name in imported)


SLOW_IMPORTS = """
import sys, time
from importlib.abc import MetaPathFinder

class Slow(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print("imports", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
from phrase_models.train import main
sys.exit(main())
"""


def test_a_training_whose_parent_is_gone_ends_though_it_still_imports(tmp_path):
    command = [sys.executable, "-c", SLOW_IMPORTS, "--parent", str(os.getppid())]
    for option in ("--spec", "--state", "--output"):
        command += [option, str(tmp_path / "none")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert not (tmp_path / "none").exists()
    assert done.stdout in ("", "imports\n")
