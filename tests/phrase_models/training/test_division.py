"""A batch in parts is the batch: rows, figures, gradients and weights."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from phrase_models.training.config import TrainingConfig
from phrase_models.training.division import WHOLE, Division
from phrase_models.training.loop import fit
from phrase_models.training.specification import HardwareConfig
from tests.phrase_models.training.regression import Regression


@pytest.mark.parametrize(("num_processes", "micro_batches"), [*product((1, 2, 3), (1, 2, 4))])
@pytest.mark.parametrize("num_rows", [1, 2, 7, 24])
def test_each_row_is_in_one_part(num_processes, micro_batches, num_rows):
    seen, indices = [], []
    for rank in range(num_processes):
        parts = Division(rank, num_processes, micro_batches).parts(num_rows)
        assert 1 <= len(parts) <= micro_batches
        for part in parts:
            rows = list(range(num_rows))[part.rows]
            assert rows  # also where nothing is left for a process: it repeats a row, at weight 0
            if part.weight:
                seen += rows
                indices.append(part.index)
    assert sorted(seen) == list(range(num_rows))
    # The parts are the same, however many processes share them.
    assert sorted(indices) == list(range(min(num_processes * micro_batches, num_rows)))


def test_one_process_with_one_micro_batch_takes_the_whole():
    [part] = WHOLE.parts(5)
    assert (part.rows, part.count, part.weight) == (slice(0, None, 1), 1, 1.0)


def test_alone_nothing_is_exchanged():
    value = torch.ones(2)
    WHOLE.add_up([value])
    assert value.tolist() == [1, 1]
    assert WHOLE.of_first(lambda: {"score": 1.0}) == {"score": 1.0}
    assert WHOLE.files_of_first(None) is None
    assert WHOLE.files_of_first({"a": b"1"}) == {"a": b"1"}


class Doubles(Regression):
    """Without dropout, in double precision."""

    def __init__(self) -> None:
        super().__init__()
        self.module = self.module.double()
        self.module[1] = nn.Identity()

    def batch(self, step: int) -> Tensor:
        return torch.randn(7, 4, dtype=torch.float64)

    def validate(self) -> dict[str, float]:
        return {"score": float(self.module[0].weight.square().sum())}


@pytest.mark.parametrize("micro_batches", [2, 3, 7, 20])
def test_micro_batches_train_the_same_weights(tmp_path, micro_batches):
    config = TrainingConfig(
        num_steps=20, batch_size=8, learning_rate=1e-2, validate_every=10, checkpoint_every=10
    )
    whole, divided = Doubles(), Doubles()
    fit(whole, config, tmp_path / "whole")
    fit(divided, config, tmp_path / "divided", Division(micro_batches=micro_batches))
    weights = divided.module.state_dict()
    for name, value in whole.module.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-9, atol=1e-12)


def test_micro_batches_drop_different_units(tmp_path):
    class Watched(Regression):
        def __init__(self):
            super().__init__()
            self.kept = []
            self.module[1].register_forward_hook(
                lambda _module, _inputs, outputs: self.kept.append(outputs != 0)
            )

    task = Watched()
    config = TrainingConfig(
        num_steps=1, batch_size=8, learning_rate=1e-2, validate_every=1, checkpoint_every=1
    )
    fit(task, config, tmp_path, Division(micro_batches=2))
    first, second, _validation = task.kept
    assert first.shape == second.shape == (4, 16)
    assert not torch.equal(first, second)


def test_a_process_has_a_card_of_its_own(monkeypatch):
    cuda, cpu = HardwareConfig(device="cuda", num_processes=2), HardwareConfig(num_processes=2)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert (cuda.process_device, cpu.process_device) == ("cuda", "cpu")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert (cuda.process_device, cpu.process_device) == ("cuda:1", "cpu")
