import numpy as np
import pytest

from phrase_models.tokens.corruption import corrupt
from phrase_models.tokens.vocabulary import MASK

IDS = list(range(100, 200))


def kept(corrupted: list[int]) -> list[int]:
    return [token for token in corrupted if token != MASK]


@pytest.mark.parametrize("fraction", [0.0, 0.15, 0.3, 0.5, 1.0])
def test_exactly_the_asked_share_is_hidden_and_the_rest_keeps_its_order(fraction):
    for seed in range(50):
        tokens = kept(corrupt(IDS, np.random.default_rng(seed), mask_fraction=fraction))
        assert len(tokens) == 100 - round(100 * fraction)
        assert tokens == sorted(set(tokens))
        assert set(tokens) <= set(IDS)


def test_spans_average_the_mean_of_the_poisson_law():
    rng = np.random.default_rng(0)
    masks = [corrupt(IDS, rng).count(MASK) for _ in range(500)]
    # 30 tokens in spans of 3 need about 10; the last span is cut, so a little more.
    assert 10.0 < float(np.mean(masks)) < 11.0
    longer = [corrupt(IDS, rng, mean_span=10.0).count(MASK) for _ in range(500)]
    assert 3.0 < float(np.mean(longer)) < 4.0


def test_every_place_but_the_ends_is_hidden_equally_often():
    rng = np.random.default_rng(1)
    hidden = np.zeros(len(IDS))
    for _ in range(2000):
        hidden += ~np.isin(IDS, corrupt(IDS, rng))
    shares = hidden / 2000
    assert np.abs(shares[10:-10] - 0.3).max() < 0.06
    assert shares[[0, -1]].min() > 0.1  # only spans that start or end there reach them


def test_a_span_of_no_tokens_inserts_a_mask():
    class NoTokensFirst:
        def __init__(self):
            self.lengths = iter([0, 3])

        def poisson(self, mean):
            return next(self.lengths)

        def integers(self, low, high, size):
            return np.array([2, 5])

    assert corrupt(list(range(20, 30)), NoTokensFirst(), mask_fraction=0.3) == [
        *(20, 21, MASK, 22, 23, 24, MASK, 28, 29)
    ]


def test_the_generator_alone_decides():
    first, again, other = (corrupt(IDS, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again != other


def test_short_phrases_stay_as_they_are():
    assert corrupt([], np.random.default_rng(0)) == []
    assert corrupt([4], np.random.default_rng(0)) == [4]
