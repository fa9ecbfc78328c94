import math

import numpy as np
import pytest

from phrase_models.metrics.plan_fidelity import (
    boundary_f1,
    is_exact_length,
    is_length_in_bucket,
    is_length_official,
    same_label_similarity,
    section_boundaries,
)
from phrase_models.score.song import parse_section_layout


@pytest.mark.parametrize(
    ("num_bars", "exact", "bucket", "official"),
    [
        (59, False, False, False),
        (60, False, True, True),
        (64, True, True, True),
        (69, False, True, True),
        (70, False, False, True),
        (71, False, False, False),
    ],
)
def test_lengths_when_64_bars_were_asked_for(num_bars, exact, bucket, official):
    assert is_exact_length(num_bars, 64) is exact
    assert is_length_in_bucket(num_bars, 64) is bucket
    assert is_length_official(num_bars, 64) is official


def test_same_label_similarity_is_a_difference_of_means():
    sections = parse_section_layout("A2 B2 A3")
    ssm = np.zeros((7, 7))
    ssm[0, 4], ssm[1, 5] = 0.9, 0.7  # A against A
    ssm[0, 2], ssm[1, 3] = 0.2, 0.0  # A against B
    ssm[2, 4], ssm[3, 5] = 0.4, 0.2  # B against A
    assert same_label_similarity(ssm, sections) == pytest.approx(0.8 - 0.2)


def test_same_label_similarity_leaves_out_bars_beyond_the_song():
    sections = parse_section_layout("A2 B2 A3")
    ssm = np.full((5, 5), 0.5)
    ssm[0, 4] = 1.0
    assert same_label_similarity(ssm, sections) == pytest.approx(0.5)
    assert math.isnan(same_label_similarity(ssm[:4, :4], sections))


@pytest.mark.parametrize("layout", ["A8", "A4 B4", "A4 A4"])
def test_same_label_similarity_needs_both_kinds_of_pairs(layout):
    assert math.isnan(same_label_similarity(np.ones((8, 8)), parse_section_layout(layout)))


def test_shuffled_bars_lose_same_label_similarity():
    generator = np.random.default_rng(0)
    verse, chorus = generator.normal(size=(2, 8, 16))
    bars = np.concatenate([verse, chorus, verse, chorus])
    bars /= np.linalg.norm(bars, axis=1, keepdims=True)
    sections = parse_section_layout("A8 B8 A8 B8")
    shuffled = generator.permutation(bars)
    assert same_label_similarity(bars @ bars.T, sections) > 0.9
    assert same_label_similarity(shuffled @ shuffled.T, sections) < 0.3


def test_boundaries_are_the_starts_but_the_first():
    assert section_boundaries(parse_section_layout("i4 A8 B8 o2")) == [4, 12, 20]


@pytest.mark.parametrize(
    ("found", "requested", "score"),
    [
        ([4, 12, 20], [4, 12, 20], 1.0),
        ([5, 11, 21], [4, 12, 20], 1.0),
        ([6, 12], [4, 12, 20], 2 * 1 / 5),
        ([3, 4, 5], [4], 2 * 1 / 4),
        ([4, 5], [5, 6], 1.0),
        ([], [4], 0.0),
        ([4], [], 0.0),
    ],
)
def test_each_boundary_is_matched_once_within_one_bar(found, requested, score):
    assert boundary_f1(found, requested) == score


def test_no_boundaries_at_all_is_undefined():
    assert math.isnan(boundary_f1([], []))


def test_zero_tolerance():
    assert boundary_f1([4, 13], [4, 12], tolerance=0) == 2 * 1 / 4
