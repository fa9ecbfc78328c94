"""Resume equals uninterrupted, bit for bit."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from phrase_models.training.config import TrainingConfig
from phrase_models.training.ema import WeightAverage
from phrase_models.training.loop import TrainingRun, fit
from phrase_models.training.optimizer import learning_rate_factor
from phrase_models.training.randomness import derive_seed
from tests.phrase_models.training.regression import Regression, Stopped


def config(**changes: object) -> TrainingConfig:
    values = {
        "num_steps": 30,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "warmup_steps": 5,
        "ema_decay": 0.9,
        "validate_every": 6,
        "checkpoint_every": 4,
        "log_every": 5,
    }
    return TrainingConfig.model_validate(values | changes)


def run(folder: Path, *stops: int, **changes: object) -> tuple[dict[str, Tensor], str]:
    for stop in stops:
        with pytest.raises(Stopped):
            fit(Regression(stop), config(**changes), folder)
    task = Regression()
    fit(task, config(**changes), folder)
    return dict(task.module.state_dict()), (folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize("stops", [(3,), (4,), (13,), (29,), (7, 17, 23)])
def test_a_killed_and_resumed_run_ends_as_if_it_was_not(tmp_path, stops):
    whole, metrics = run(tmp_path / "whole")
    resumed, metrics_resumed = run(tmp_path / "resumed", *stops)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert metrics == metrics_resumed


def test_further_averages_are_kept_and_resumed_beside_the_first(tmp_path):
    decays = {"further_ema_decays": (0.5, 0.9)}
    whole, metrics = run(tmp_path / "whole", **decays)
    run(tmp_path / "resumed", 7, 17, **decays)
    plain, plain_metrics = run(tmp_path / "plain")
    assert metrics == plain_metrics
    assert all(torch.equal(whole[name], plain[name]) for name in whole)
    stored = {
        name: [
            load_file(tmp_path / kind / "checkpoint" / f"{name}.safetensors")
            for kind in ("whole", "resumed")
        ]
        for name in ("average", "average-0.5", "average-0.9")
    }
    for first, second in stored.values():
        assert all(torch.equal(first[name], second[name]) for name in first)
    equal, other = stored["average-0.9"][0], stored["average-0.5"][0]
    assert all(torch.equal(equal[name], stored["average"][0][name]) for name in equal)
    assert not any(torch.equal(equal[name], other[name]) for name in equal)


def test_a_kill_between_the_renames_of_a_checkpoint_uses_the_older_one(tmp_path):
    whole, _ = run(tmp_path / "whole")
    state = tmp_path / "resumed"
    with pytest.raises(Stopped):
        fit(Regression(13), config(), state)
    shutil.rmtree(state / "checkpoint.previous")
    (state / "checkpoint").rename(state / "checkpoint.previous")
    resumed, _ = run(state)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_patience_stops_early_and_keeps_the_best(tmp_path):
    task = Regression()
    scores = iter([3.0, 1.0, 2.0, 2.0, 0.5])
    task.validate = lambda: {"score": next(scores)}
    result = fit(task, config(patience=2), tmp_path)
    assert result == {"steps": 24, "best_step": 12, "best_score": 1.0}
    best = load_file(tmp_path / "checkpoint" / "best.safetensors")
    assert all(torch.equal(best[name], value) for name, value in task.module.state_dict().items())


def test_keep_last_returns_the_last_weights_whatever_the_score(tmp_path):
    task = Regression()
    scores = iter(range(100))
    task.validate = lambda: {"score": float(next(scores))}
    assert fit(task, config(keep="last"), tmp_path)["best_step"] == 30


def test_metrics_are_means_over_the_steps_between_lines(tmp_path):
    task = Regression()
    fit(task, config(num_steps=10, log_every=5, validate_every=10), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 10]
    assert set(lines[0]["values"]) == {"train/loss", "train/gradient_norm"}


def test_sums_kept_on_the_device_give_the_same_metrics_bit_for_bit(tmp_path, monkeypatch):
    _, numbers = run(tmp_path / "numbers", 13)
    monkeypatch.setattr(TrainingRun, "_number", lambda _self, value: value.double())
    _, tensors = run(tmp_path / "tensors", 13)
    assert tensors == numbers


def test_learning_rate_warms_up_and_decays():
    settings = config(warmup_steps=10, num_steps=100, final_learning_rate=0.1)
    assert learning_rate_factor(settings, 0) == pytest.approx(0.1)
    assert learning_rate_factor(settings, 50) == pytest.approx(0.1 + 0.9 * 0.5)
    assert learning_rate_factor(settings, 100) == pytest.approx(0.1)


def test_average_of_one_update_from_zero():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = WeightAverage(module, 0.5)
    nn.init.ones_(module.weight)
    average.update(module)
    assert average.weights["weight"].item() == pytest.approx(1 - 2 / 11)
    with average.in_place(module):
        assert module.weight.item() == pytest.approx(1 - 2 / 11)
    assert module.weight.item() == 1.0


def test_seeds_are_the_same_in_every_process():
    assert derive_seed(0, "train", 1) == 463138294109053119
