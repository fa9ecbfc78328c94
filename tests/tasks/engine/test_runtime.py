"""What the environment says of how to run."""

import sys
from types import SimpleNamespace

import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.training.specification import HardwareConfig
from tasks.commands import launch_run
from tasks.engine.runtime import (
    MICRO_BATCHES,
    TRAIN_PROCESSES,
    RuntimeConfig,
    default_runtime,
    has_accelerator,
)
from tasks.launch import Request, launch


def test_processes_share_the_threads_of_the_machine():
    runtime = RuntimeConfig(num_threads=5, num_processes=2, micro_batches=3)
    assert runtime.hardware == HardwareConfig(num_threads=2, num_processes=2, micro_batches=3)
    assert RuntimeConfig(num_threads=1, num_processes=2).hardware.num_threads == 1


def test_without_a_device_of_the_kernel_torch_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    monkeypatch.setattr(sys, "platform", "linux")
    assert not has_accelerator(tmp_path)
    (tmp_path / "nvidiactl").touch()
    with pytest.raises(ImportError):
        has_accelerator(tmp_path)
    cuda = SimpleNamespace(is_available=lambda: True)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert has_accelerator(tmp_path)


def test_trainings_are_divided_as_the_environment_says(monkeypatch):
    monkeypatch.delenv(TRAIN_PROCESSES, raising=False)
    monkeypatch.setenv(MICRO_BATCHES, "")
    found = default_runtime()
    assert (found.num_processes, found.micro_batches) == (1, 1)
    monkeypatch.setenv(TRAIN_PROCESSES, "2")
    monkeypatch.setenv(MICRO_BATCHES, "8")
    found = default_runtime()
    assert (found.num_processes, found.micro_batches) == (2, 8)


@pytest.mark.parametrize("variable", [TRAIN_PROCESSES, MICRO_BATCHES])
@pytest.mark.parametrize("text", ["0", "-1", "2.5", "two", "²", "99999", "9" * 5000])
def test_a_number_that_does_not_do_is_one_sentence(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError, match=f"^{variable} is '.*'; it must be a whole number"):
        default_runtime()


def test_workers_and_engine_reach_a_run_with_prefect(tmp_path):
    launched = launch_run(
        "smoke", None, None, tmp_path / "store", workers=3, engine="processes", orchestrated=True
    )
    assert (launched.runtime.num_workers, launched.runtime.engine) == (3, "processes")
    again = launch(Request(**launched.flow_parameters()), orchestrated=True)
    assert again.runtime == launched.runtime
