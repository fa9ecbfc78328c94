"""Intervals across bar lines counted exactly; ends of phrases chosen as a search of all says."""

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.bar_lines import (
    LARGEST_INTERVAL,
    NUM_CHOICES,
    NUM_INTERVALS,
    SMOOTHING,
    BarLines,
    end_places,
    join_phrases,
    read_bar_lines,
)
from phrase_models.tokens.vocabulary import (
    EMPTY_SLOT,
    FIRST_PITCH,
    NUM_PITCHES,
    duration_id,
    onset_id,
    pitch_id,
    program_id,
)

REST = [EMPTY_SLOT]


def phrase(*onsets: tuple[int, ...]) -> list[int]:
    """A phrase with these pitches, highest first, at onsets 0, 6, ..."""
    tokens = [program_id(13)]
    for place, pitches in enumerate(onsets):
        tokens.append(onset_id(6 * place))
        for pitch in pitches:
            tokens += [pitch_id(pitch), duration_id(6)]
    return tokens


def likelihoods(rng: np.random.Generator, tokens: list[int]) -> np.ndarray:
    """Log likelihoods (2, 128) of which the phrase has the largest."""
    found = np.log(rng.dirichlet(np.full(NUM_PITCHES, 0.1), size=2) + 1e-9).astype(np.float32)
    for row, place in zip(found, end_places(tokens) or (), strict=True):
        row[tokens[place] - FIRST_PITCH] = row.max() + 0.5
    if len({*(end_places(tokens) or ())}) == 1:
        found[1] = found[0]
    return found


def test_ends_are_the_highest_pitches_of_the_first_and_last_onset():
    tokens = phrase((72, 60), (64,), (67, 65, 62))
    first, last = end_places(tokens)
    assert (tokens[first], tokens[last]) == (pitch_id(72), pitch_id(67))
    assert end_places(phrase((60, 59))) == (2, 2)
    assert end_places(REST) is None


def test_intervals_are_counted_beside_those_of_any_two_bars():
    bars = [phrase((60,), (62,)), phrase((64,)), REST, phrase((90,), (60,))]
    odds = BarLines.of_songs([[[bar, REST] for bar in bars]], [True, False]).log_odds
    # One bar line is between two phrases, from 62 up to 64. Of the nine pairs of any two bars, each
    # a third, one goes up by 2: the lasts are 62, 64 and 60, the firsts 60, 64 and 90.
    whole = NUM_INTERVALS * Fraction(SMOOTHING)
    share = (Fraction(SMOOTHING) + 1) / (whole + 1)
    chance = (Fraction(SMOOTHING) + Fraction(1, 3)) / (whole + 3)
    assert odds[0, LARGEST_INTERVAL + 2] == pytest.approx(np.log(float(share / chance)), rel=1e-12)
    unseen = Fraction(SMOOTHING) / (whole + 1), Fraction(SMOOTHING) / (whole + 3)
    expected = np.log(float(unseen[0] / unseen[1]))
    assert odds[0, LARGEST_INTERVAL + 7] == pytest.approx(expected, rel=1e-12)
    assert not odds[1].any()


def test_a_file_comes_back_and_one_of_other_slots_is_refused(tmp_path):
    songs = [[[phrase((60,)), phrase((50,)), REST]] * 3]
    lines = BarLines.of_songs(songs, [True, True, False])
    lines.write(tmp_path / "lines.json")
    found = read_bar_lines(tmp_path / "lines.json", 3)
    assert found.slots == [0, 1]
    np.testing.assert_allclose(found.log_odds, lines.log_odds, rtol=0, atol=5e-5)
    with pytest.raises(ConfigurationError, match=r"log_odds is not 2 lists of 27 numbers"):
        read_bar_lines(tmp_path / "lines.json", 2)


def score(numbers, choice, phrases, found, odds, weight) -> float:
    """What `join_phrases` makes large, for one pitch each at the first and the last onset."""
    total = 0.0
    for number in numbers:
        places = end_places(phrases[number])
        for end in range(2 if places[0] != places[1] else 1):
            own = phrases[number][places[end]] - FIRST_PITCH
            total += float(found[number][end, choice[number][end]] - found[number][end, own])
    for before, after in pairwise(numbers):
        interval = choice[after][0] - choice[before][1]
        clipped = max(-LARGEST_INTERVAL, min(LARGEST_INTERVAL, interval))
        total += weight * odds[clipped + LARGEST_INTERVAL]
    return total


@pytest.mark.parametrize("seed", range(5))
def test_no_other_end_of_one_phrase_would_do_better(seed):
    rng = np.random.default_rng(seed)
    phrases = {
        0: phrase((60,), (64,), (55,)),
        1: phrase((70,)),
        2: phrase((50, 48), (67, 40)),
    }
    numbers, weight = np.array([0, 1, 1, 0, 2, 0, 1]), 4.0
    found = {number: likelihoods(rng, tokens) for number, tokens in phrases.items()}
    odds = rng.normal(size=NUM_INTERVALS)
    changed = join_phrases(numbers, phrases, found, odds, weight)
    joined = phrases | changed
    chosen = {
        number: tuple(tokens[place] - FIRST_PITCH for place in end_places(tokens))
        for number, tokens in joined.items()
    }
    best = score(numbers, chosen, phrases, found, odds, weight)
    own = {
        number: tuple(tokens[place] - FIRST_PITCH for place in end_places(tokens))
        for number, tokens in phrases.items()
    }
    assert changed
    assert best > score(numbers, own, phrases, found, odds, weight)
    lowest = {0: (0, 0), 1: (0, 0), 2: (49, 41)}  # above what sounds below them
    for number, tokens in phrases.items():
        likeliest = [np.argsort(-row)[:NUM_CHOICES].tolist() for row in found[number]]
        for first, last in product(*likeliest):
            if first < lowest[number][0] or last < lowest[number][1]:
                continue
            if number == 1 and first != last:
                continue
            other = chosen | {number: (first, last)}
            assert score(numbers, other, phrases, found, odds, weight) <= best + 1e-4
        ends = end_places(tokens)
        rest = [place for place in range(len(tokens)) if place not in ends]
        assert [joined[number][place] for place in rest] == [tokens[place] for place in rest]


def test_given_bars_and_rests_stay_and_without_weight_all_do():
    rng = np.random.default_rng(7)
    phrases = {0: phrase((60,), (72,)), 1: phrase((40,), (90,)), 2: REST}
    found = {number: likelihoods(rng, phrases[number]) for number in (0, 1)}
    odds = -np.abs(np.arange(NUM_INTERVALS) - LARGEST_INTERVAL).astype(float)
    numbers = np.array([0, 1, 2, 0, 1, 0])
    assert 0 in join_phrases(numbers, phrases, found, odds, 10.0)
    kept = np.array([True, False, False, False, False, False])
    assert 0 not in join_phrases(numbers, phrases, found, odds, 10.0, kept)
    assert join_phrases(numbers, phrases, found, odds, 10.0, np.ones(6, bool)) == {}
    assert join_phrases(numbers, phrases, found, odds, 0.0) == {}
