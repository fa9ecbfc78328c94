"""Several processes train what one does: the same losses and weights, killed, resumed, fewer, more.

They are real processes that talk by gloo.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from phrase_models import trainings
from phrase_models.diffusion.config import NoiseScheduleConfig
from phrase_models.diffusion.specification import (
    DiffusionRecipeConfig,
    DiffusionTrainingSpecification,
)
from phrase_models.score.song import Phrase, PhraseNote
from phrase_models.tokens.remiz import encode
from phrase_models.training.config import TrainingConfig
from phrase_models.training.local_processes import LOST_CODE, run_processes
from phrase_models.training.specification import HardwareConfig
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.phrase_table import PhraseTable, unit_table_path
from phrase_models.vae.specification import VAERecipeConfig, VAETrainingSpecification
from tests.phrase_models.diffusion.conftest import form_config, write_dataset

ROOT = Path(__file__).resolve().parents[3]
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
    max_tokens=64,
)
STEPS = 40
ONE, TWO, MICRO = (
    HardwareConfig(),
    HardwareConfig(num_processes=2),
    HardwareConfig(micro_batches=2),
)
KINDS = ("vae", "diffusion")

pytestmark = pytest.mark.slow


def budget(batch_size: int) -> TrainingConfig:
    return TrainingConfig(
        num_steps=STEPS,
        batch_size=batch_size,
        learning_rate=1e-3,
        warmup_steps=4,
        weight_decay=0.1,
        ema_decay=0.9,
        validate_every=20,
        checkpoint_every=10,
        log_every=1,
    )


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for count in rng.integers(1, 6, 60).tolist():
        onsets = np.sort(rng.choice(16, count, replace=False)) * 3
        notes = [PhraseNote(int(onset), int(rng.integers(50, 70)), 6) for onset in onsets]
        rows.append(encode(Phrase(0, tuple(notes))))
    for split in ("train", "validation"):
        PhraseTable.build(rows).save(unit_table_path(folder, "phrase", split))
    write_dataset(folder / "latents")


def specification(
    kind: str, data: Path, hardware: HardwareConfig, dropout: float = 0.0
) -> trainings.AnySpecification:
    if kind == "diffusion":
        recipe = DiffusionRecipeConfig(
            denoiser=form_config(), noise_schedule=NoiseScheduleConfig(), training=budget(5)
        )
        return DiffusionTrainingSpecification(
            recipe=recipe, dataset=data / "latents", hardware=hardware
        )
    vae = VAERecipeConfig(
        phase="vae",
        architecture=VAE.model_copy(update={"dropout": dropout}),
        objective=VAEObjectiveConfig(latent_noise=0.1, decoder_mask_fraction=0.2),
        training=budget(256),
    )
    return VAETrainingSpecification(recipe=vae, phrases=data, hardware=hardware)


SCRIPT = """
import sys
from importlib import import_module
from pathlib import Path
from phrase_models.trainings import TRAINERS, read_specification

for folder in map(Path, sys.argv[1:]):
    spec = read_specification(folder / "spec.json")
    output = folder / "output"
    output.mkdir(exist_ok=True)
    import_module(TRAINERS[spec.kind]).train(spec, folder / "state", output)
"""


def run_all(specs: dict[Path, trainings.AnySpecification]) -> None:
    """Train one after the other in processes that are started once: their imports take longest."""
    for folder, spec in specs.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spec.json").write_text(spec.model_dump_json())
    [count] = {spec.hardware.num_processes for spec in specs.values()}
    assert run_processes([sys.executable, "-c", SCRIPT, *map(str, specs)], count) == 0


def begun(source: Path, target: Path) -> Path:
    """A folder whose training has come to step 30."""
    shutil.copytree(source / "state", target / "state")
    shutil.rmtree(target / "state" / "checkpoint")  # leaves the one before it
    return target


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Folders of trainings: kind/how."""
    root = tmp_path_factory.mktemp("runs")
    write_data(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        # Where a processor has matrix units, products are in bf16 otherwise.
        patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
        two = {root / kind / "two": specification(kind, root, TWO) for kind in KINDS}
        two[root / "dropout" / "two"] = specification("vae", root, TWO, dropout=0.2)
        run_all(two)
        one = {root / kind / "one": specification(kind, root, ONE) for kind in KINDS}
        for how, hardware in (("micro", MICRO), ("one", ONE)):
            one[root / "dropout" / how] = specification("vae", root, hardware, dropout=0.2)
            for kind in KINDS:
                folder = begun(root / kind / "two", root / kind / f"two, then {how}")
                one[folder] = specification(kind, root, hardware)
        run_all(one)
        run_all(
            {
                begun(root / kind / "one", root / kind / "one, then two"): specification(
                    kind, root, TWO
                )
                for kind in KINDS
            }
        )
        yield root


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "state" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def assert_alike(found: Path, expected: Path, tolerance: float = 1e-5) -> None:
    """The losses of every step, the weights and their average, within rounding that has grown."""
    first, second = lines(found), lines(expected)
    assert [line["step"] for line in first] == [line["step"] for line in second]
    assert len(first) == STEPS + 2
    for one, other in zip(first, second, strict=True):
        for name in {"train/loss", "validation/score"} & one["values"].keys():
            assert one["values"][name] == pytest.approx(other["values"][name], rel=tolerance)
    for name in ("model", "average"):
        file = f"state/checkpoint/{name}.safetensors"
        weights, others = load_file(found / file), load_file(expected / file)
        difference = sum(float((weights[key] - others[key]).square().sum()) for key in weights)
        size = sum(float(value.square().sum()) for value in others.values())
        assert (difference / size) ** 0.5 < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_what_one_does(runs, kind):
    one, two = runs / kind / "one", runs / kind / "two"
    assert_alike(two, one)
    # At first there is no rounding to grow.
    assert lines(two)[0]["values"] == pytest.approx(lines(one)[0]["values"], rel=1e-5)
    outputs = [sorted(path.name for path in (run / "output").iterdir()) for run in (one, two)]
    assert outputs[0] == outputs[1] != []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["two, then one", "two, then micro", "one, then two"])
def test_any_number_of_processes_goes_on_from_any_checkpoint(runs, kind, how):
    assert_alike(runs / kind / how, runs / kind / "one")


def test_with_dropout_equal_parts_train_the_same(runs):
    """Two processes drop out what two micro batches of one do, and not what one whole does."""
    folder = runs / "dropout"
    assert_alike(folder / "two", folder / "micro")
    with pytest.raises(AssertionError):
        assert_alike(folder / "two", folder / "one")


RANKS = """
import json, sys, torch
from pathlib import Path
from phrase_models.training.config import TrainingConfig
from phrase_models.training.division import join_processes
from phrase_models.training.loop import TrainingRun
from phrase_models.training.specification import HardwareConfig
from phrase_models.training.weights import save_weights
from tests.phrase_models.training.regression import Regression

class FewRows(Regression):
    def batch(self, step):
        return torch.randn(2, 4)

task, folder = FewRows(), Path(sys.argv[1])
task.module.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
config = TrainingConfig(num_steps=8, batch_size=2, learning_rate=1e-2, weight_decay=0.5,
    ema_decay=0.9, validate_every=4, checkpoint_every=4, patience=1)
division = join_processes(HardwareConfig())
run = TrainingRun(task, config, folder / f"state-{division.rank}", division)
for _ in range(8):
    run.train_step()
run.validate()
run.save()
weights = {**task.module.state_dict(),
           **{f"average {name}": value for name, value in run.average.weights.items()}}
save_weights(weights, folder / f"{division.rank}.safetensors")
(folder / f"{division.rank}.json").write_text(json.dumps([run.best_score, run.stale]))
"""


def test_weights_and_averages_are_equal_in_all_processes(tmp_path, monkeypatch):
    """Also with more processes than rows, and with a parameter that nothing uses."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert run_processes([sys.executable, "-c", RANKS, str(tmp_path)], 3) == 0
    first = load_file(tmp_path / "0.safetensors")
    for rank in (1, 2):
        other = load_file(tmp_path / f"{rank}.safetensors")
        assert all(torch.equal(first[name], other[name]) for name in first)
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == json.loads(
            (tmp_path / "0.json").read_text()
        )
        assert list((tmp_path / f"state-{rank}").iterdir()) == []  # the first alone writes
    assert first["unused"].tolist() == [1, 1, 1]  # no gradient, so no decay either


def ranks_of(launcher: int) -> dict[int, int]:
    """Process of each rank among the children of a launcher."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    found = {}
    for pid in map(int, children):
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        rank = [value for value in variables if value.startswith(b"RANK=")]
        found[int(rank[0].removeprefix(b"RANK="))] = pid
    return found


def command(folder: Path) -> list[str]:
    (folder / "output").mkdir(exist_ok=True)
    parts = {"--spec": "spec.json", "--state": "state", "--output": "output"}
    named = [word for name, file in parts.items() for word in (name, str(folder / file))]
    return [sys.executable, "-m", "phrase_models.train", *named]


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc")
def test_a_killed_process_ends_the_others_and_the_next_start_resumes_bit_for_bit(runs, tmp_path):
    whole = runs / "dropout" / "two"
    shutil.copy(whole / "spec.json", tmp_path)
    with subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, text=True) as launcher:
        deadline = time.monotonic() + 300
        while not (tmp_path / "state" / "checkpoint" / "progress.json").exists():
            assert launcher.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        ranks = ranks_of(launcher.pid)
        assert sorted(ranks) == [0, 1]
        os.kill(ranks[1], signal.SIGKILL)
        at = time.monotonic()
        _, said = launcher.communicate(timeout=60)
        assert time.monotonic() - at < 30
    assert launcher.returncode == LOST_CODE
    assert "Process 1 of 2 was ended by signal 9 (SIGKILL)" in said.splitlines()[-1]
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks.values())
    assert not (tmp_path / "output" / "result.json").exists()

    subprocess.run(command(tmp_path), check=True, stderr=subprocess.DEVNULL)
    assert json.loads((tmp_path / "output" / "result.json").read_text())["steps"] == STEPS
    assert lines(tmp_path) == lines(whole)
    for name in ("model", "average", "optimizer", "best"):
        file = f"state/checkpoint/{name}.safetensors"
        assert (tmp_path / file).read_bytes() == (whole / file).read_bytes()
