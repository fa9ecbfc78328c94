import math

import numpy as np
import pytest
import torch

from phrase_models.score.song import MELODY, PIANO, Phrase, PhraseNote
from phrase_models.tokens.remiz import decode
from phrase_models.vae.config import VAEConfig
from phrase_models.vae.decoding import decode_latents
from phrase_models.vae.interpolation import (
    decode_paths,
    mean_smoothness,
    note_distance,
    path_weights,
    smoothness,
    spherical_path,
)
from phrase_models.vae.model import PhraseVAE


def make_phrase(*pitches: int, program: int = PIANO, duration: int = 12) -> Phrase:
    """One note every quarter."""
    notes = tuple(PhraseNote(12 * k, pitch, duration) for k, pitch in enumerate(pitches))
    return Phrase(program, notes)


FIRST, SECOND = make_phrase(60, 62, 64, 65), make_phrase(72, 74, 76, 77)
EVEN = [
    FIRST,
    make_phrase(72, 62, 64, 65),
    make_phrase(72, 74, 64, 65),
    make_phrase(72, 74, 76, 65),
    SECOND,
]


# --------------------------------------------------------------------------- paths
def test_a_quarter_turn_keeps_to_the_circle():
    path = spherical_path(np.array([2.0, 0.0]), np.array([0.0, 2.0]), 3)
    assert path.dtype == np.float32
    assert path == pytest.approx(np.array([[2, 0], [math.sqrt(2), math.sqrt(2)], [0, 2]]), abs=1e-6)


def test_lengths_change_evenly_and_angles_too():
    path = spherical_path(np.array([1.0, 0.0, 0.0]), np.array([0.0, 3.0, 0.0]), 5)
    assert np.linalg.norm(path, axis=1) == pytest.approx([1, 1.5, 2, 2.5, 3])
    angles = np.degrees(np.arctan2(path[:, 1], path[:, 0]))
    assert angles == pytest.approx([0, 22.5, 45, 67.5, 90])


@pytest.mark.parametrize(
    "ends", [([1.0, 1.0], [3.0, 3.0]), ([1.0, 1.0], [-3.0, -3.0]), ([0.0, 0.0], [2.0, 4.0])]
)
def test_ends_on_one_line_through_the_origin_are_joined_by_it(ends):
    first, second = np.array(ends)
    path = spherical_path(first, second, 3)
    assert path == pytest.approx(np.stack([first, (first + second) / 2, second]))


def test_weights_are_even_and_a_path_has_two_ends():
    assert path_weights(5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    with pytest.raises(ValueError, match="not 1 points"):
        path_weights(1)
    with pytest.raises(ValueError, match="not 1 points"):
        smoothness([FIRST])


def test_decoded_paths_begin_and_end_as_the_latents_themselves():
    torch.manual_seed(0)
    config = VAEConfig(
        model_dim=16,
        feedforward_dim=32,
        num_heads=2,
        head_dim=8,
        num_encoder_layers=1,
        num_decoder_layers=1,
        num_queries=2,
        latent_dim=4,
        dropout=0.0,
        max_tokens=24,
    )
    vae = PhraseVAE(config).eval()
    first, second = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    paths = decode_paths(vae, first, second, 4)
    assert [len(path) for path in paths] == [4, 4, 4]
    assert [path[0] for path in paths] == [decode(ids)[0] for ids in decode_latents(vae, first)]
    assert [path[-1] for path in paths] == [decode(ids)[0] for ids in decode_latents(vae, second)]
    assert decode_paths(vae, first[:0], second[:0], 4) == []


# --------------------------------------------------------------------------- distances
def test_distance_of_phrases():
    assert note_distance(FIRST, FIRST) == 0
    assert note_distance(FIRST, SECOND) == 1
    assert note_distance(FIRST, EVEN[1]) == pytest.approx(1 - 3 / 5)
    assert note_distance(FIRST, None) == 1
    assert note_distance(None, None) == 0
    assert note_distance(FIRST, make_phrase(60, 62, 64, 65, program=MELODY, duration=3)) == 0


def test_a_path_that_does_not_move():
    found = smoothness([FIRST, FIRST, FIRST])
    assert (found.end_distance, found.mean_step, found.max_step) == (0, 0, 0)
    assert math.isnan(found.detour)
    assert math.isnan(found.largest_jump)


def test_a_path_of_one_note_at_a_time():
    found = smoothness(EVEN)
    assert (found.end_distance, found.largest_jump) == pytest.approx((1, 0.4))
    assert (found.mean_step, found.max_step, found.detour) == pytest.approx((0.4, 0.4, 1.6))


def test_a_path_that_jumps_is_less_smooth():
    found = smoothness([FIRST, FIRST, FIRST, SECOND, SECOND])
    assert (found.detour, found.largest_jump) == pytest.approx((1, 1))
    assert (found.mean_step, found.max_step) == pytest.approx((0.25, 1))


def test_a_path_that_strays_is_told_by_its_detour():
    strange = make_phrase(40, 41, 43, 45)
    found = smoothness([FIRST, strange, FIRST, strange, SECOND])
    assert (found.detour, found.largest_jump) == pytest.approx((4, 1))
    assert found.detour > smoothness(EVEN).detour


def test_no_way_round_is_shorter():
    rng = np.random.default_rng(0)
    for _ in range(200):
        phrases = [make_phrase(*rng.integers(60, 63, size=4).tolist()) for _ in range(3)]
        a, b, c = phrases
        assert note_distance(a, c) <= note_distance(a, b) + note_distance(b, c) + 1e-12
        found = smoothness(phrases)
        assert not found.detour < 1 - 1e-12


def test_mean_over_paths_leaves_out_what_is_undefined():
    found = mean_smoothness([EVEN, [FIRST] * 5])
    assert (found.end_distance, found.mean_step) == pytest.approx((0.5, 0.2))
    assert (found.detour, found.largest_jump) == pytest.approx((1.6, 0.4))
    assert math.isnan(mean_smoothness([[FIRST, FIRST]]).detour)
