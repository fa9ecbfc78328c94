"""Binomial diffusion as one object: network, noise, densities, usual lengths.

How songs are drawn from it is in `sampling`, which no training needs; how it is kept in a folder,
in `pretrained`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from phrase_models.binomial.config import (
    BinomialConfig,
    NetworkConfig,
    NoiseConfig,
    ObjectiveConfig,
)
from phrase_models.binomial.dataset import RollDataset
from phrase_models.binomial.network import RollCondition, build_network
from phrase_models.binomial.process import build_process, evidence
from phrase_models.training.randomness import seed_everything


@dataclass(frozen=True, slots=True)
class KnownLayout:
    """Length and sections of a training song, drawn from where a request leaves them open."""

    num_bars: int
    section_layout: str = ""


class BinomialDiffusion:
    """The generator of rolls."""

    def __init__(
        self,
        config: BinomialConfig,
        densities: Tensor,
        layouts: Sequence[KnownLayout] = (),
        network: nn.Module | None = None,
    ) -> None:
        """Build, with random weights from torch's global generator where no network is given.

        Args:
            config: rolls, noise, network and objective.
            densities: (C, P), see `RollDataset.densities`.
            layouts: of the training songs.
            network: of this configuration, or None.
        """
        self.config, self.densities, self.layouts = config, densities, tuple(layouts)
        self.network = network or build_network(config)
        self.process = build_process(config.noise, densities)

    @classmethod
    def for_dataset(
        cls,
        dataset: RollDataset,
        noise: NoiseConfig,
        network: NetworkConfig,
        objective: ObjectiveConfig,
        *,
        seed: int,
    ) -> Self:
        """An untrained model of a corpus."""
        seed_everything(seed, "weights")
        config = BinomialConfig(
            roll=dataset.config, noise=noise, network=network, objective=objective
        )
        layouts = [KnownLayout(s.num_bars, s.section_layout) for s in dataset.split("train")]
        return cls(config, dataset.densities(), layouts)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def output(self, noisy: Tensor, timesteps: Tensor, condition: RollCondition) -> Tensor:
        """What the objective compares with the clean cells: logits ("bce") or cells ("l1").

        Logits are the sum of three: the log-odds of the cell's density, what its noisy value says
        of it (both exact), and what the network makes of everything; an untrained network is the
        exact posterior of cells that have nothing to do with each other.

        Args:
            noisy: x_t, (B, C, S, P) bool.
            timesteps: (B,).
            condition: what is known beside.

        Returns:
            (B, C, S, P) float32.
        """
        process = self.process.to(noisy.device)
        written: Tensor = self.network(noisy, process.times(timesteps), condition).float()
        if self.config.objective.loss == "l1":
            return written
        prior = self.densities.to(noisy.device).logit()[:, None]
        return written + (prior + evidence(noisy, process.kept_at(timesteps), process.density))

    def probability(self, output: Tensor) -> Tensor:
        """P(x_0 = 1) that an output stands for."""
        return output.sigmoid() if self.config.objective.loss == "bce" else output.clamp(0, 1)
