"""The prior of layouts."""

import itertools
import json
import math

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.count_table import CountTable
from phrase_models.form.layout_prior import NUM_KINDS, LayoutPrior, LayoutsFile
from phrase_models.score.song import MAX_BARS, format_section_layout, parse_section_layout

TEXTS = ["i4 A8 B8 o4", "i4 A8 A8 B8 o2", "A8 B8 A8 B8", "i2 A4 B4 X2 A4 B4 o4", "i4 A8"] * 4
LAYOUTS = [parse_section_layout(text) for text in TEXTS]
HELD_OUT = [parse_section_layout(text) for text in ("i4 A8 B8 A8 B8 o4", "i4 C8 A8 o4")]
UNIFORM = CountTable(NUM_KINDS, 4), CountTable(32, 3)
EMPTY = LayoutPrior(*UNIFORM, None)


@pytest.fixture(scope="module")
def prior():
    return LayoutPrior.fit(LAYOUTS)


def test_held_out_layouts_are_likelier_than_by_chance(prior):
    for layout in HELD_OUT:
        uniform = -len(layout) * math.log(NUM_KINDS * 32)
        assert prior.log_likelihood(layout) > EMPTY.log_likelihood(layout)
        assert prior.log_likelihood(layout) > uniform


def test_names_of_letters_do_not_matter(prior):
    first, second = (parse_section_layout(text) for text in ("i4 A8 B8 A8", "i4 D8 A8 D8"))
    assert prior.log_likelihood(first) == prior.log_likelihood(second)


def test_probabilities_are_those_of_the_draws(prior):
    rng = np.random.default_rng(0)
    drawn = [format_section_layout(prior.sample(rng)) for _ in range(3000)]
    for text in ("i4 A8", "A8 B8 A8 B8"):
        expected = math.exp(prior.log_likelihood(parse_section_layout(text)))
        share = drawn.count(text) / len(drawn)
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 3000)
        assert expected > 0.01


def test_draws_are_valid(prior):
    rng = np.random.default_rng(1)
    for _ in range(50):
        layout = prior.sample(rng)
        assert sum(section.num_bars for section in layout) <= MAX_BARS
        assert parse_section_layout(format_section_layout(layout)) == layout
        sung = list(dict.fromkeys(s.label for s in layout if s.label in "ABCDEFGH"))
        assert sung == list("ABCDEFGH")[: len(sung)]


@pytest.mark.parametrize("num_bars", [1, 2, 3, 7, 24, 61])
def test_a_given_length_is_met(prior, num_bars):
    layout = prior.sample(np.random.default_rng(2), num_bars)
    assert sum(section.num_bars for section in layout) == num_bars


def test_json_gives_the_same_draws(prior):
    again = LayoutPrior.from_file(LayoutsFile.model_validate_json(json.dumps(prior.to_json())))
    for seed in range(5):
        draws = [p.sample(np.random.default_rng(seed)) for p in (prior, again)]
        assert draws[0] == draws[1]
    assert again.log_likelihood(HELD_OUT[0]) == prior.log_likelihood(HELD_OUT[0])


def bigrams_again(layouts):
    """Share of pairs of neighbours, in label and length, that the layout had before."""
    again = []
    for layout in layouts:
        named = [(section.label, section.num_bars) for section in layout]
        pairs = list(itertools.pairwise(named))
        again += [pair in pairs[:place] for place, pair in enumerate(pairs)]
    return np.mean(again)


def test_sequences_of_sections_come_again_as_they_do_in_songs():
    """Two to four sections twice, of lengths of the song's own: chance does not repeat them."""
    rng = np.random.default_rng(3)
    songs = []
    for _ in range(300):
        verse = " ".join(f"{label}{rng.integers(2, 10)}" for label in "ABCD"[: rng.integers(2, 5)])
        songs.append(parse_section_layout(f"i{rng.integers(2, 5)} {verse} {verse} o4"))
    prior = LayoutPrior.fit(songs)
    drawn = [prior.sample(rng) for _ in range(300)]
    assert bigrams_again(drawn) == pytest.approx(bigrams_again(songs), abs=0.04)


def test_what_follows_is_what_came_after_the_longest_match():
    untold = CountTable(2, 3, 1e-9)
    so_far = parse_section_layout("A8 B8 x4 A8 B8 C8 x2 A8 B8")
    for section in ("x4", "C8"):
        longer = parse_section_layout(f"{format_section_layout(so_far)} {section}")
        follows = LayoutPrior(*UNIFORM, untold)
        gain = [follows.log_likelihood(x) - EMPTY.log_likelihood(x) for x in (longer, so_far)]
        assert (gain[0] > gain[1]) == (section == "C8"), section  # both match; C8 came later


def test_a_file_without_the_decision_to_follow_is_read():
    values = LayoutPrior.fit(LAYOUTS).to_json()
    for name in ("kinds", "lengths"):
        values[name]["concentration"] = 4.0
    old = LayoutPrior.from_file(LayoutsFile.model_validate(values | {"follows": None}))
    assert old.sample(np.random.default_rng(0))
    assert old.to_json()["follows"] is None


def test_refusals(prior):
    with pytest.raises(ConfigurationError, match="at least one training song"):
        LayoutPrior.fit([])
    with pytest.raises(ConfigurationError, match="without sections"):
        prior.log_likelihood(())
    with pytest.raises(ConfigurationError, match="0 bars was asked for"):
        prior.sample(np.random.default_rng(0), 0)
