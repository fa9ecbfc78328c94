"""Can a classifier tell generated songs from real ones? The classifier two-sample test.

Lopez-Paz and Oquab 2017: train a classifier on one half of both sets and test it on the other; if
it does no better than chance, the sets are not told apart. The score is the area under the ROC
curve (AUC): the probability that a generated item scores higher than a real one, .5 by chance.

By songs the classifier is a logistic regression on song features, whose weights say what gives
the generated songs away. By single bars it is a small network on piano rolls; the halves are
halves of the songs, so no song has bars on both sides, and intervals are over songs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from phrase_models.logistic_regression import (
    LogisticRegression,
    Standardiser,
    class_weights,
    train_logistic_regression,
)
from phrase_models.metrics.result import MetricResult, bootstrap_interval, undefined

MIN_SONGS = 8
"""Fewer on a side leave under four to train and four to test with."""
NUM_SPLITS = 10
HIDDEN_SIZE = 16

Scorer = Callable[[np.ndarray], np.ndarray]
"""Features `(N, F)` to scores `(N,)`, higher for what looks generated."""
Trainer = Callable[[np.ndarray, np.ndarray, int], Scorer]
"""Features `(N, F)`, 1.0 for generated and 0.0 for real `(N,)`, and a seed, to a scorer."""


@dataclass(frozen=True, slots=True)
class TwoLayerNetwork:
    """One hidden layer of rectified units on standardised features.

    Attributes:
        standardiser: of the features it was trained on.
        parameters: first weights `(F, H)`, first biases `(H,)`, second weights `(H,)`.
    """

    standardiser: Standardiser
    parameters: tuple[np.ndarray, np.ndarray, np.ndarray]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Scores of `(N, F)`."""
        first, bias, second = self.parameters
        return np.maximum(self.standardiser(features) @ first + bias, 0.0) @ second


def train_two_layer_network(
    features: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    *,
    hidden_size: int = HIDDEN_SIZE,
    l2_penalty: float = 1e-3,
    max_iterations: int = 60,
) -> TwoLayerNetwork:
    """Minimise the mean cross-entropy plus half the penalty times the squared weights by L-BFGS.

    Few iterations and the penalty are what keeps it from learning its bars by heart.

    Args:
        features: `(N, F)`.
        labels: 1.0 or 0.0, `(N,)`; both classes count the same.
        seed: of the first weights.
        hidden_size: H.
        l2_penalty: on all squared weights.
        max_iterations: of L-BFGS.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    standardiser = Standardiser.fit(features)
    # Half the memory to read in each step; the steps need no more digits.
    rows = standardiser(features).astype(np.float32)
    labels = labels.astype(np.float32)
    item_weights = class_weights(labels).astype(np.float32)
    num_features = rows.shape[1]
    sizes = (num_features * hidden_size, hidden_size, hidden_size)
    cuts = np.cumsum(sizes)[:-1]

    def unpack(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, bias, second = np.split(flat, cuts)
        return first.reshape(num_features, hidden_size), bias, second

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        first, bias, second = unpack(flat.astype(np.float32))
        hidden = np.maximum(rows @ first + bias, 0.0)
        scores = hidden @ second
        value = item_weights @ (np.logaddexp(0.0, scores) - labels * scores)
        slope = item_weights * (expit(scores) - labels)
        inner = np.outer(slope, second) * (hidden > 0.0)
        gradient = np.concatenate(((rows.T @ inner).ravel(), inner.sum(axis=0), hidden.T @ slope))
        penalty = 0.5 * l2_penalty * float(flat @ flat)
        return float(value) + penalty, gradient.astype(np.float64) + l2_penalty * flat

    generator = np.random.default_rng(seed)
    start = np.concatenate(
        (
            generator.normal(scale=1.0 / math.sqrt(num_features), size=sizes[0]),
            np.zeros(sizes[1]),
            generator.normal(scale=1.0 / math.sqrt(hidden_size), size=sizes[2]),
        )
    )
    options = {"maxiter": max_iterations}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return TwoLayerNetwork(standardiser, unpack(found))


def _wins(scores: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """How many of the ordered scores each score beats, ties as half, `(N,)`."""
    below = np.searchsorted(ordered, scores, side="left")
    up_to = np.searchsorted(ordered, scores, side="right")
    return 0.5 * (below + up_to)


@dataclass(frozen=True, slots=True)
class TwoSampleTest:
    """What the test found.

    Attributes:
        auc: with its interval over songs.
        scorers: the classifier of each split.
    """

    auc: MetricResult
    scorers: tuple[Scorer, ...]


def two_sample_test(
    name: str,
    generated: Sequence[np.ndarray],
    real: Sequence[np.ndarray],
    trainer: Trainer,
    *,
    seed: int = 0,
    num_splits: int = NUM_SPLITS,
) -> TwoSampleTest:
    """Train on one half of the songs of both sides, test on the other, over several splits.

    The AUC compares items of different songs of the test halves and is pooled over splits. The
    interval resamples the songs of each side and keeps the classifiers: it says what other songs
    of the same origin would give, not what other trainings would.

    Args:
        name: of the metric.
        generated: features of the items of each generated song, `(num_items, F)` each.
        real: features of the items of each real song, likewise; none of the songs of the other
            side may be among them.
        trainer: makes a classifier.
        seed: of the splits, the classifiers and the resampling.
        num_splits: how often the songs are halved anew.

    Undefined (nan): fewer than 8 songs with items on either side.
    """
    generated = [song for song in generated if len(song)]
    real = [song for song in real if len(song)]
    if min(len(generated), len(real)) < MIN_SONGS:
        note = (
            f"needs {MIN_SONGS} songs on each side, "
            f"has {len(generated)} generated and {len(real)} real"
        )
        return TwoSampleTest(undefined(name, note, num_items=len(generated)), ())
    generator = np.random.default_rng(seed)
    # Of each pair of songs: comparisons that the generated one won, and all that were made.
    wins = np.zeros((len(generated), len(real)))
    trials = np.zeros_like(wins)
    scorers = []
    for split in range(num_splits):
        halves = [_halve(generator, len(side)) for side in (generated, real)]
        (train_generated, test_generated), (train_real, test_real) = halves
        ours = np.concatenate([generated[i] for i in train_generated])
        theirs = np.concatenate([real[i] for i in train_real])
        labels = np.append(np.ones(len(ours)), np.zeros(len(theirs)))
        scorer = trainer(np.concatenate((ours, theirs)), labels, seed + split)
        scorers.append(scorer)
        scores = {i: scorer(generated[i]) for i in test_generated}
        for j in test_real:
            ordered = np.sort(scorer(real[j]))
            for i in test_generated:
                wins[i, j] += _wins(scores[i], ordered).sum()
                trials[i, j] += len(scores[i]) * len(ordered)

    def pooled(draw: np.ndarray) -> float:
        """Of a resample of the real songs after the generated ones."""
        ours = np.bincount(draw[draw < len(generated)], minlength=len(generated))
        theirs = np.bincount(draw[draw >= len(generated)] - len(generated), minlength=len(real))
        total = ours @ trials @ theirs
        return float(ours @ wins @ theirs / total) if total else math.nan

    value = pooled(np.arange(len(generated) + len(real)))
    low, high = bootstrap_interval(len(generated) + len(real), pooled, seed=seed)
    note = f"against {len(real)} real songs, {num_splits} splits"
    return TwoSampleTest(MetricResult(name, value, low, high, len(generated), note), tuple(scorers))


def _halve(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    order = generator.permutation(count)
    return order[: count // 2], order[count // 2 :]


@dataclass(frozen=True, slots=True)
class TellingFeature:
    """One thing that gives generated songs away.

    Attributes:
        name: of the feature.
        weight: of the standardised feature, mean over the splits; positive where more of it makes
            a song look generated.
        difference: mean of generated minus mean of real songs, in deviations of all songs.
    """

    name: str
    weight: float
    difference: float

    def in_words(self) -> str:
        """Such as "notes a bar: ours higher (weight +1.20, difference +0.85 deviations)"."""
        direction = "higher" if self.difference > 0.0 else "lower"
        return (
            f"{self.name}: ours {direction} "
            f"(weight {self.weight:+.2f}, difference {self.difference:+.2f} deviations)"
        )


def songs_two_sample(
    generated: np.ndarray,
    real: np.ndarray,
    names: Sequence[str],
    *,
    seed: int = 0,
    num_splits: int = NUM_SPLITS,
    num_telling: int = 5,
) -> tuple[MetricResult, list[TellingFeature]]:
    """Tell songs apart by their features with a logistic regression.

    Args:
        generated: features of each generated song, `(num_songs, F)`.
        real: features of each real song.
        names: of the features, in words, F of them.
        seed: see `two_sample_test`.
        num_splits: see `two_sample_test`.
        num_telling: how many of the features of the largest weights are named.

    Returns:
        The result `two_sample_auc_songs`, and the telling features by falling weight; none where
        the test is undefined.
    """
    test = two_sample_test(
        "two_sample_auc_songs",
        [row[None] for row in generated],
        [row[None] for row in real],
        train_logistic_regression,
        seed=seed,
        num_splits=num_splits,
    )
    models = [scorer for scorer in test.scorers if isinstance(scorer, LogisticRegression)]
    if not models:
        return test.auc, []
    weights = np.mean([model.weights for model in models], axis=0)
    scale = Standardiser.fit(np.concatenate((generated, real))).scale
    difference = (generated.mean(axis=0) - real.mean(axis=0)) / scale
    largest = np.argsort(-np.abs(weights), kind="stable")[:num_telling]
    return test.auc, [
        TellingFeature(names[i], float(weights[i]), float(difference[i])) for i in largest
    ]


def bars_two_sample(
    generated: Sequence[np.ndarray],
    real: Sequence[np.ndarray],
    *,
    seed: int = 0,
    num_splits: int = 3,
    trainer: Trainer = train_two_layer_network,
) -> MetricResult:
    """Tell single bars apart by their piano rolls, `two_sample_auc_bars`.

    Args:
        generated: features of the bars of each generated song (`bar_rolls.bar_roll_features`).
        real: features of the bars of each real song.
        seed: see `two_sample_test`.
        num_splits: see `two_sample_test`.
        trainer: the classifier; a small network by default.
    """
    return two_sample_test(
        "two_sample_auc_bars", generated, real, trainer, seed=seed, num_splits=num_splits
    ).auc
