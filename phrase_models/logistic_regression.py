"""Logistic regression that tells two sets apart, both counted alike."""

from dataclasses import dataclass

import numpy as np

L2_PENALTY = 1.0
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Mean and scale of each feature, `(F,)`; features that never vary have scale 1."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray) -> "Standardiser":
        """Take both from `(N, F)`."""
        deviation = features.std(axis=0)
        return cls(features.mean(axis=0), np.where(deviation > _EPSILON, deviation, 1.0))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Scale `(N, F)`."""
        return (features - self.mean) / self.scale


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Weights `(N,)` with which both classes count the same, summing to 1."""
    generated = labels > 0.5
    return np.where(
        generated, 0.5 / max(1, generated.sum()), 0.5 / max(1, len(labels) - generated.sum())
    )


@dataclass(frozen=True, slots=True)
class LogisticRegression:
    """Logistic regression on standardised features.

    Attributes:
        standardiser: of the features it was trained on.
        weights: `(F,)`.
        bias: added to the weighted sum.
    """

    standardiser: Standardiser
    weights: np.ndarray
    bias: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Scores of `(N, F)`."""
        return self.standardiser(features) @ self.weights + self.bias


def train_logistic_regression(
    features: np.ndarray, labels: np.ndarray, seed: int = 0, *, l2_penalty: float = L2_PENALTY
) -> LogisticRegression:
    """Minimise the summed cross-entropy plus half the penalty times the squared weights.

    Both classes count the same, however many items they have. The minimum is unique.

    Args:
        features: `(N, F)`.
        labels: 1.0 or 0.0, `(N,)`.
        seed: not used; trainers have one.
        l2_penalty: on the squared weights, in units of one item's cross-entropy.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    del seed
    standardiser = Standardiser.fit(features)
    rows = standardiser(features)
    item_weights = class_weights(labels) * len(labels)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        scores = rows @ weights + bias
        value = item_weights @ (np.logaddexp(0.0, scores) - labels * scores)
        slope = item_weights * (expit(scores) - labels)
        gradient = np.append(rows.T @ slope + l2_penalty * weights, slope.sum())
        return value + 0.5 * l2_penalty * weights @ weights, gradient

    start = np.zeros(rows.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    return LogisticRegression(standardiser, found[:-1], float(found[-1]))
