"""A training that diverges ends with one sentence, before anything unsound reaches the disk."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from phrase_models.errors import DivergedError, UserError
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import TrainingRun, fit
from phrase_models.training.randomness import seed_everything
from phrase_models.training.weights import all_finite

REMEDY = r"Try a lower learning rate, a longer warm-up or precision fp32\."


class Line:
    """A straight line fitted to points; what goes wrong is said by step."""

    def __init__(self, losses: dict[int, float] | None = None, scores: tuple[float, ...] = ()):
        seed_everything("line")
        self.module = nn.Linear(3, 1)
        self.losses, self.scores = losses or {}, list(scores)

    def batch(self, step: int) -> Tensor:
        self.factor = self.losses.get(step, 1.0)
        return torch.randn(8, 3)

    def loss(self, batch: Tensor, rows: slice) -> dict[str, Tensor]:
        inputs = batch[rows]
        error = (self.module(inputs)[:, 0] - inputs.sum(1)).square().mean()
        return {"loss": error * self.factor}

    def validate(self) -> dict[str, float]:
        score = self.scores.pop(0) if self.scores else float(self.module.weight.square().sum())
        return {"score": score, "undefined_figure": math.nan}


def config(**changes: object) -> TrainingConfig:
    values = {"num_steps": 12, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 2}
    values |= {"validate_every": 4, "checkpoint_every": 3, "log_every": 6}
    return TrainingConfig.model_validate(values | changes)


def progress_of(state: Path) -> int:
    """Step of the checkpoint."""
    return json.loads((state / "checkpoint" / "progress.json").read_text())["step"]


def sound(state: Path) -> bool:
    """Whether all that the run left is finite."""
    files = list(state.rglob("*.safetensors"))
    return bool(files) and all(all_finite(list(load_file(path).values())) for path in files)


@pytest.mark.parametrize(("factor", "shown"), [(math.nan, "nan"), (math.inf, "inf")])
def test_a_loss_that_is_not_finite_ends_the_run_at_its_step(tmp_path, factor, shown):
    with pytest.raises(
        DivergedError, match=rf"^Training diverged at step 8: loss is {shown}\. {REMEDY}$"
    ):
        fit(Line({7: factor}), config(), tmp_path)
    assert progress_of(tmp_path) == 6
    assert sound(tmp_path)


def test_a_gradient_that_is_not_finite_ends_the_run_though_the_loss_is(tmp_path):
    task = Line()
    task.module.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(DivergedError, match=r"at step 1: gradient norm is (inf|nan)"):
        fit(task, config(), tmp_path)
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_score_that_is_not_finite_keeps_no_weights(tmp_path, keep):
    with pytest.raises(DivergedError, match="at step 8: validation score is nan"):
        fit(Line(scores=(0.5, math.nan)), config(keep=keep), tmp_path)
    assert progress_of(tmp_path) == 6
    assert sound(tmp_path)


def test_a_weight_that_is_not_finite_reaches_neither_checkpoint_nor_best(tmp_path):
    task = Line()
    task.module.register_parameter("unused", nn.Parameter(torch.tensor([1.0, math.nan])))
    run = TrainingRun(task, config(), tmp_path)
    for write in (run.save, run.validate):
        with pytest.raises(DivergedError, match="at step 0: a weight is not finite"):
            write()
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_an_unsound_average_is_not_kept_either(tmp_path):
    run = TrainingRun(Line(), config(ema_decay=0.9), tmp_path)
    assert run.average
    run.average.weights["bias"].fill_(math.inf)
    with pytest.raises(DivergedError):
        run.save()


@pytest.mark.parametrize("write", ["log", "validate", "save"])
def test_where_steps_are_not_looked_at_one_by_one_nothing_is_written_of_them(tmp_path, write):
    # As on a GPU, which is asked only before something is written.
    run = TrainingRun(Line({1: math.nan}), config(), tmp_path)
    run.device = torch.device("meta")
    for _ in range(3):
        run.train_step()
    with pytest.raises(DivergedError, match="at step 3: loss is nan"):
        getattr(run, write)()
    assert list(tmp_path.iterdir()) == []


def test_a_rate_without_measure_diverges(tmp_path):
    with pytest.raises(UserError, match="Training diverged at step"):
        fit(Line(), config(learning_rate=1e30), tmp_path)


def test_it_goes_on_from_the_last_sound_checkpoint(tmp_path):
    whole, resumed = Line(), Line()
    fit(whole, config(), tmp_path / "whole")
    with pytest.raises(DivergedError):
        fit(Line({7: math.nan}), config(), tmp_path / "resumed")
    steps = []
    batch = resumed.batch
    resumed.batch = lambda step: steps.append(step) or batch(step)
    fit(resumed, config(), tmp_path / "resumed")
    assert steps == [6, 7, 8, 9, 10, 11]
    weights = resumed.module.state_dict()
    assert all(
        torch.equal(value, weights[name]) for name, value in whole.module.state_dict().items()
    )
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "resumed")]
    assert texts[0] == texts[1]
