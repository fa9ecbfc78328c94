"""SRS and PhraseFID as released, against a transcription of their definitions, to the last digit.

The transcription follows the description of the released evaluation: a song is a sequence of four
latents a bar, three phrases and the constant end of the bar.
"""

import math

import numpy as np
import pytest

from phrase_models.metrics.distribution import (
    fit_gaussian,
    gaussian_distance_official,
    phrase_fid_official,
)
from phrase_models.metrics.structure import bar_ssm, srs_official, with_bar_end


def frechet_distance_official(generated: np.ndarray, reference: np.ndarray) -> float:
    """The released code's figure for two sets of vectors, (num_samples, D) each.

    Undefined (nan): fewer than two samples on either side.
    """
    if min(len(generated), len(reference)) < 2:
        return math.nan
    return gaussian_distance_official(fit_gaussian(generated), fit_gaussian(reference))


DIM = 16


def released_similarity(sequence):
    """`(4 * num_bars, D)` to `(num_bars, num_bars)`: means of four, scaled to length 1."""
    bars = sequence.reshape(-1, 4, sequence.shape[-1]).mean(axis=1)
    unit = bars / np.sqrt((bars**2).sum(axis=1, keepdims=True))
    return unit @ unit.T


def released_srs(sequence, threshold=0.5, min_run_length=4):
    ssm = released_similarity(sequence)
    num_bars = len(ssm)
    diagonals = [np.diagonal(ssm, offset=k) > threshold for k in range(num_bars)]
    total = 0
    for k in range(1, num_bars):
        row = 0
        while row < num_bars - k:
            start = row
            while row < num_bars - k and diagonals[k][row]:
                row += 1
            length = row - start
            next_bright = k + 1 < num_bars and diagonals[k + 1][start:row].any()
            if length >= min_run_length and not next_bright:
                total += length
            row = max(row, start + 1)
    return total / num_bars


def released_fid(real, generated):
    """Two means, two unbiased covariances, and eigh of a product that is not symmetric."""
    covariances = []
    for rows in (real, generated):
        centred = rows - rows.mean(axis=0)
        covariances.append(centred.T @ centred / (len(rows) - 1))
    product = covariances[0].astype(np.float32) @ covariances[1].astype(np.float32)
    values, vectors = np.linalg.eigh(product, UPLO="L")
    root = (vectors * np.sqrt(np.clip(values, 1e-12, None))) @ vectors.T
    shift = generated.mean(axis=0) - real.mean(axis=0)
    spread = np.trace(covariances[0] + covariances[1])
    return float(shift @ shift + spread - 2.0 * np.trace(root))


def make_latents(seed, num_bars=48):
    """Bars of four sections that come again with variation; some slots are the empty phrase."""
    generator = np.random.default_rng(seed)
    sections = generator.normal(size=(3, 8, 3, DIM))
    order = [0, 1, 2, 1, 0, 2][: num_bars // 8]
    latents = np.concatenate([sections[i] for i in order])
    latents = latents + 0.4 * generator.normal(size=latents.shape)
    empty = generator.normal(size=DIM)
    latents[generator.uniform(size=latents.shape[:2]) < 0.2] = empty
    return latents


def as_sequence(latents, bar_end):
    """The released order: three phrases, then the end of the bar, bar after bar."""
    rows = []
    for bar in latents:
        rows += [*bar, bar_end]
    return np.array(rows)


BAR_END = 1.5 * np.random.default_rng(99).normal(size=DIM)
SONGS = [make_latents(seed) for seed in range(8)]


@pytest.mark.parametrize("seed", range(8))
def test_srs_equals_the_transcription(seed):
    matrix = bar_ssm(with_bar_end(SONGS[seed], BAR_END))
    assert srs_official(matrix) == released_srs(as_sequence(SONGS[seed], BAR_END))


def test_the_comparison_of_srs_is_not_empty_and_the_bar_end_matters():
    four = [srs_official(bar_ssm(with_bar_end(song, BAR_END))) for song in SONGS]
    three = [srs_official(bar_ssm(song)) for song in SONGS]
    assert sum(four) > 0.0
    assert four != three


def test_the_order_of_slots_does_not_matter_and_a_strong_bar_end_makes_all_bars_alike():
    turned = [song[:, ::-1] for song in SONGS]
    for song, other in zip(SONGS, turned, strict=True):
        first = bar_ssm(with_bar_end(song, BAR_END))
        np.testing.assert_allclose(bar_ssm(with_bar_end(other, BAR_END)), first, atol=1e-12)
    # All cells bright: each diagonal has a bright one outside it, but for the last three, which
    # are too short.
    assert srs_official(bar_ssm(with_bar_end(SONGS[0], 100.0 * BAR_END))) == 0.0


def test_fid_equals_the_transcription():
    generated = [with_bar_end(song, BAR_END).reshape(-1, DIM) for song in SONGS[:4]]
    real = [with_bar_end(song, BAR_END).reshape(-1, DIM) for song in SONGS[4:]]
    expected = released_fid(
        np.concatenate([as_sequence(song, BAR_END) for song in SONGS[4:]]),
        np.concatenate([as_sequence(song, BAR_END) for song in SONGS[:4]]),
    )
    result = phrase_fid_official(generated, real)
    assert result.value == expected
    assert result.value == frechet_distance_official(
        np.concatenate(generated), np.concatenate(real)
    )
    assert phrase_fid_official(real, generated).value != expected


def test_the_bar_end_changes_the_fid():
    three = [song.reshape(-1, DIM) for song in SONGS]
    four = [with_bar_end(song, BAR_END).reshape(-1, DIM) for song in SONGS]
    first = phrase_fid_official(three[:4], three[4:]).value
    assert abs(phrase_fid_official(four[:4], four[4:]).value - first) > 0.1


def test_a_bar_end_of_another_size_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        with_bar_end(SONGS[0], BAR_END[:-1])
    with pytest.raises(ValueError, match="does not fit"):
        with_bar_end(SONGS[0][0], BAR_END)
    assert with_bar_end(SONGS[0], BAR_END).shape == (48, 4, DIM)
    np.testing.assert_array_equal(with_bar_end(SONGS[0], BAR_END)[5, 3], BAR_END)
