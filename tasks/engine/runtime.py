"""Device, threads, processes and environment: what never changes a result."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from phrase_models.errors import ConfigurationError
from phrase_models.training.specification import HardwareConfig
from tasks.settings.engines import ADDRESS_VARIABLE, KnownEngine, chosen_engine

TRAIN_PROCESSES, MICRO_BATCHES = "PHRASELDM_TRAIN_PROCESSES", "PHRASELDM_MICRO_BATCHES"
MOST_PARTS, MOST_DIGITS = 1024, 9
SHARE_VARIABLE = "PHRASE_LDM_SHARE_SECONDS"
MAX_SHARE_SECONDS = 86_400
DEVICE_FILES = ("nvidiactl", "nvidia0", "dxg", "kfd", "nvhost-gpu", "nvgpu", "nvmap")
"""One of these is there where a GPU is: NVIDIA's, that of WSL, AMD's, and those of Tegra."""


class RuntimeConfig(BaseModel):
    """How to run, never what to make; no part of any fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "cpu"
    num_threads: int = Field(default=1, ge=1)
    num_workers: int = Field(default=1, ge=1, description="of data stages")
    engine: KnownEngine = "processes"
    engine_address: str | None = Field(default=None, description="of a cluster of Dask or Ray")
    num_processes: int = Field(default=1, ge=1, description="of a training on this machine")
    micro_batches: int = Field(default=1, ge=1, description="of each process of a training")
    tracking: bool = True
    share_state_every: float = Field(default=120.0, gt=0, description="seconds")

    @property
    def hardware(self) -> HardwareConfig:
        """What a training process is told of it."""
        return HardwareConfig(
            device=self.device,
            num_threads=max(1, self.num_threads // self.num_processes),
            num_processes=self.num_processes,
            micro_batches=self.micro_batches,
        )

    @property
    def device_indices(self) -> tuple[str, ...]:
        """Which devices of this machine a training takes, a card for each of its processes.

        Workers of several cards see one card each.
        """
        if self.device == "cpu":
            return ("cpu",)
        _, _, named = self.device.partition(":")
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        taken = (int(named),) if named else range(self.num_processes)
        return tuple(
            visible[index] if index < len(visible) and visible[index] else str(index)
            for index in taken
        )


def tracking_wanted() -> bool:
    """Whether MLflow is told of runs; the environment may say no."""
    return os.environ.get("PHRASELDM_TRACKING", "on") != "off"


def _count(variable: str) -> int:
    """A whole number from 1 that the environment holds; 1 if it holds none.

    Raises:
        ConfigurationError: if it holds something else.
    """
    text = os.environ.get(variable) or "1"
    number = int(text) if text.isascii() and text.isdigit() and len(text) < MOST_DIGITS else 0
    if not 1 <= number <= MOST_PARTS:
        shown = repr(text[:MOST_DIGITS])
        message = f"{variable} is {shown}; it must be a whole number from 1 to {MOST_PARTS}."
        raise ConfigurationError(message)
    return number


def has_accelerator(nodes: Path = Path("/dev")) -> bool:
    """Whether there is a device that torch calls CUDA.

    Where the kernel shows none, torch is not asked: its import takes a second or two.

    Args:
        nodes: folder of the kernel's device files.
    """
    if sys.platform == "linux" and not any((nodes / name).exists() for name in DEVICE_FILES):
        return False
    import torch

    return torch.cuda.is_available()


def default_runtime(num_workers: int | None = None, engine: str | None = None) -> RuntimeConfig:
    """A CUDA device if there is one, else all cores; the environment says how trainings divide.

    Args:
        num_workers: of data stages; all cores by default.
        engine: of data stages; what the environment says by default.

    Raises:
        ConfigurationError: if a variable of the environment does not do, or the engine is missing.
    """
    chosen = chosen_engine(engine)
    num_processes, micro_batches = _count(TRAIN_PROCESSES), _count(MICRO_BATCHES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return RuntimeConfig(
        device="cuda" if has_accelerator() else "cpu",
        num_threads=cores or 1,
        num_workers=num_workers or cores or 1,
        engine=chosen,
        engine_address=os.environ.get(ADDRESS_VARIABLE) or None,
        num_processes=num_processes,
        micro_batches=micro_batches,
        tracking=tracking_wanted(),
        share_state_every=_share_seconds(),
    )


def _share_seconds() -> float:
    """Seconds between two checkpoints that are published to a shared store."""
    named = os.environ.get(SHARE_VARIABLE) or "120"
    try:
        seconds = float(named)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= MAX_SHARE_SECONDS:
        message = (
            f"{SHARE_VARIABLE} is {named!r}; it must be seconds from 1 to {MAX_SHARE_SECONDS:,}."
        )
        raise ConfigurationError(message)
    return seconds


def configure_environment(store: Path) -> None:
    """Settings of Prefect and MLflow that must stand before they are imported.

    Telemetry is off, Prefect keeps its database in the store, and its temporary server has time to
    start on a small machine. What is set already stays.
    """
    defaults = {
        "PREFECT_HOME": str(store.resolve() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "phrase_models,tasks,storage",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if "PREFECT_API_URL" not in os.environ:
        # Nobody will look at the logs of a server that ends with the run; how runs end is told by
        # the command line.
        defaults["PREFECT_LOGGING_LEVEL"] = "WARNING"
        for kind in ("FLOW", "TASK"):
            defaults[f"PREFECT_LOGGING_LOGGERS_PREFECT_{kind}_RUNS_LEVEL"] = "CRITICAL"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # Prefect's database cannot be made in a folder that is not there.
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
