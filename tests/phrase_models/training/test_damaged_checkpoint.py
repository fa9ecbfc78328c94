"""A damaged checkpoint is set aside in one sentence; the training ends with the same weights."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from phrase_models.training.config import TrainingConfig
from phrase_models.training.generations import generations_of, load_generation
from phrase_models.training.loop import fit
from tests.phrase_models.training.regression import Regression, Stopped

CONFIG = TrainingConfig(
    num_steps=30,
    batch_size=8,
    learning_rate=1e-2,
    warmup_steps=5,
    ema_decay=0.9,
    further_ema_decays=(0.5,),
    validate_every=6,
    checkpoint_every=4,
    log_every=5,
)
FILES = (
    "model.safetensors",
    "optimizer.safetensors",
    "average.safetensors",
    "average-0.5.safetensors",
    "best.safetensors",
    "progress.json",
    "digests.json",
)
PROGRESS_FILES = ("metrics.jsonl", "progress.json")


def finished(state: Path) -> tuple[dict[str, Tensor], list[str]]:
    task = Regression()
    fit(task, CONFIG, state)
    return dict(task.module.state_dict()), (state / "metrics.jsonl").read_text().splitlines()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Weights and metrics of a run that nothing happened to."""
    return finished(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """The state of a run that was killed in step 13, after checkpoints at steps 8 and 12."""
    state = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Stopped):
        fit(Regression(13), CONFIG, state)
    return state


@pytest.fixture
def state(stopped, tmp_path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "state"))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip_last_bits(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def flip_header_bit(path):
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    path.write_bytes(content)


def write_other_json(path):
    path.write_text('{"step": "many"}')


def remove(path):
    path.unlink()


def put_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = (
    truncate,
    empty,
    flip_last_bits,
    flip_header_bit,
    write_other_json,
    remove,
    put_folder,
)


def same(found, whole) -> bool:
    return found[1] == whole[1] and all(
        torch.equal(found[0][name], whole[0][name]) for name in whole[0]
    )


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        *((damage, "model.safetensors") for damage in DAMAGES),
        *((damage, "digests.json") for damage in DAMAGES),
        *((flip_last_bits, name) for name in FILES[1:-1]),
    ],
)
def test_the_checkpoint_before_a_damaged_one_is_used(state, whole, caplog, damage, name):
    damage(state / "checkpoint" / name)
    assert same(finished(state), whole)
    [said] = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.startswith(f"{state / 'checkpoint'} is damaged ({name} ")
    assert said.endswith("set aside as checkpoint.damaged; the training goes on from step 8.")
    assert (state / "checkpoint.damaged").is_dir()


def test_with_both_checkpoints_damaged_the_training_begins_anew(state, whole, caplog):
    truncate(state / "checkpoint" / "model.safetensors")
    flip_last_bits(state / "checkpoint.previous" / "best.safetensors")
    assert same(finished(state), whole)
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 2
    assert all(sentence.endswith("the training begins anew.") for sentence in said)


def test_a_flipped_bit_in_a_finished_run_does_not_end_in_another_model(tmp_path, whole):
    finished(tmp_path)
    for name in ("best.safetensors", "model.safetensors"):
        flip_last_bits(tmp_path / "checkpoint" / name)
        assert same(finished(tmp_path), whole)


def test_a_save_after_a_damaged_checkpoint_keeps_the_good_one_until_it_is_whole(state):
    remove(state / "checkpoint" / "digests.json")
    with pytest.raises(Stopped):
        fit(Regression(9), CONFIG, state)  # before the next checkpoint
    assert json.loads((state / "checkpoint" / "progress.json").read_text())["step"] == 8


RENAMES = ("dropped", "previous", "checkpoint", "removal")


@pytest.mark.parametrize("moment", RENAMES)
@pytest.mark.parametrize("newest", ["whole", "damaged"])
def test_a_kill_at_any_moment_of_a_save_leaves_two_generations(
    state, whole, monkeypatch, moment, newest
):
    place = state / "checkpoint"
    rename, rmtree = Path.rename, shutil.rmtree

    def stop_before_rename(path, target):
        if target.name in (f"checkpoint.{moment}", moment):
            raise Stopped
        return rename(path, target)

    def stop_in_removal(path, **options):
        if moment == "removal" and path.exists() and path.suffix == ".dropped":
            (path / "digests.json").unlink()
            raise Stopped
        rmtree(path, **options)

    monkeypatch.setattr(Path, "rename", stop_before_rename)
    monkeypatch.setattr(shutil, "rmtree", stop_in_removal)
    with pytest.raises(Stopped):
        fit(Regression(), CONFIG, state)
    monkeypatch.undo()
    found = [path for path in (place, *generations_of(place)[1:]) if path.exists()]
    if newest == "damaged":
        truncate(found[0] / "model.safetensors")
    files, complaints = load_generation(place, ["model.safetensors"])
    assert files is not None
    assert len(complaints) == (newest == "damaged")
    assert same(finished(state), whole)


@pytest.mark.parametrize("name", PROGRESS_FILES)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_files_that_tell_of_a_training_never_end_it(state, whole, damage, name):
    damage(state / name)
    task = Regression()
    fit(task, CONFIG, state)
    assert all(torch.equal(task.module.state_dict()[key], whole[0][key]) for key in whole[0])


def test_a_damaged_line_of_metrics_is_dropped_alone(state, whole):
    path = state / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_bytes(b"\xff\x00 nonsense\n" + "".join(lines).encode() + b'{"step": 1}')
    assert finished(state)[1] == whole[1]
