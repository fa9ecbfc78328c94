"""Choosing among drawn plans, so that those that are taken look as a whole as real ones do.

Priors that count decisions one by one lose what holds a song together: their plans come again too
little, and not in the passages in which songs do. A logistic regression on statistics of whole
plans (`plan_statistics`) learns to tell drawn plans from those of training songs; its score is an
estimate of the logarithm of the ratio of the two densities, and of several drawn plans one is
taken with the probabilities that the ratios give (sampling-importance resampling; a discriminator
as the ratio: Azadi et al. 2018, arXiv 1810.06758).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from phrase_models.errors import ConfigurationError
from phrase_models.form.count_table import draw_index
from phrase_models.logistic_regression import (
    LogisticRegression,
    Standardiser,
    train_logistic_regression,
)

_L2_PENALTY = 5.0
"""More than the classifier's usual one: statistics are many and lie close together."""
_MAX_STATISTICS = 256

Numbers = Annotated[list[float], Field(min_length=1, max_length=_MAX_STATISTICS)]


class ChoiceFile(BaseModel):
    """What `PlanChoice.to_json` gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: Numbers
    scale: Numbers
    weights: Numbers
    sees_chords: bool = True


@dataclass(frozen=True, slots=True)
class PlanChoice:
    """A fitted choice.

    Attributes:
        drawn_score: of statistics (K, F), higher for what looks drawn.
        sees_chords: whether the statistics are also of the plans' chords, as those of older files
            are.
    """

    drawn_score: LogisticRegression
    sees_chords: bool = False

    @classmethod
    def fit(
        cls, real: Sequence[NDArray[np.float64]], drawn: Sequence[NDArray[np.float64]]
    ) -> "PlanChoice":
        """Learn what tells drawn plans from real ones.

        Args:
            real: statistics (F,) of the plans of training songs.
            drawn: of plans that were drawn.
        """
        labels = np.repeat((0.0, 1.0), (len(real), len(drawn)))
        rows = np.stack([*real, *drawn])
        return cls(train_logistic_regression(rows, labels, l2_penalty=_L2_PENALTY))

    def choose(self, candidates: Sequence[NDArray[np.float64]], rng: np.random.Generator) -> int:
        """Index of one of several drawn plans, by their statistics (F,)."""
        scores = -self.drawn_score(np.stack(candidates))
        return draw_index(np.exp(scores - scores.max()), rng)

    @property
    def num_statistics(self) -> int:
        """F."""
        return len(self.drawn_score.weights)

    def to_json(self) -> dict[str, Any]:
        """Values for `json.dump`."""
        score = self.drawn_score
        return {
            "mean": score.standardiser.mean.tolist(),
            "scale": score.standardiser.scale.tolist(),
            "weights": score.weights.tolist(),
            "sees_chords": self.sees_chords,
        }

    @classmethod
    def from_file(cls, values: ChoiceFile) -> "PlanChoice":
        """The choice that `to_json` wrote; what is added to all scores decides nothing.

        Raises:
            ConfigurationError: if its parts are of different lengths.
        """
        if not len(values.mean) == len(values.scale) == len(values.weights):
            message = "mean, scale and weights of choice are of different lengths"
            raise ConfigurationError(message)
        standardiser = Standardiser(np.array(values.mean), np.array(values.scale))
        score = LogisticRegression(standardiser, np.array(values.weights), 0.0)
        return cls(score, values.sees_chords)
