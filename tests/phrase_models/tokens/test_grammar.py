import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrase_models.tokens import vocabulary
from phrase_models.tokens.grammar import (
    ALLOWED,
    DURATION,
    NUM_CLASSES,
    START,
    TOKEN_CLASS,
    GrammarState,
    PhraseGrammar,
)
from phrase_models.tokens.remiz import SPECIAL_PHRASES, decode, encode, from_text
from phrase_models.tokens.vocabulary import (
    EOS,
    FIRST_DURATION,
    FIRST_ONSET,
    FIRST_PITCH,
    FIRST_PROGRAM,
    PAD,
    VOCABULARY_SIZE,
)


def allowed_tokens(state: GrammarState) -> list[list[int]]:
    """Ids that may come next in each row."""
    return [np.flatnonzero(row).tolist() for row in PhraseGrammar.mask(state)]


def follow(text: str) -> list[int]:
    """What may come after some tokens."""
    state = PhraseGrammar.initial(1)
    for token in from_text(text):
        state = PhraseGrammar.advance(state, np.array([token]))
    return allowed_tokens(state)[0]


def test_the_table_has_a_row_for_each_class_of_the_last_token():
    assert ALLOWED.shape == (NUM_CLASSES, VOCABULARY_SIZE)
    assert TOKEN_CLASS.shape == (VOCABULARY_SIZE,)
    assert ALLOWED[START].sum() == 129 + 3
    assert ALLOWED[DURATION].sum() == 48 + 128 + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [*sorted(SPECIAL_PHRASES), *range(FIRST_PROGRAM, FIRST_ONSET)]),
        ("[EMPTY]", [EOS]),
        ("b-1", [EOS]),
        ("[END]", [EOS]),
        ("i-0", list(range(FIRST_ONSET, FIRST_PITCH))),
        ("i-0 o-5", list(range(FIRST_PITCH, FIRST_DURATION))),
        ("i-0 o-5 p-2", list(range(FIRST_DURATION, VOCABULARY_SIZE))),
        ("i-0 o-45 p-2 d-3", from_text("[EOS] o-46 o-47 p-0 p-1")),
        ("i-0 o-47 p-0 d-3", [EOS]),
        ("i-0 o-46 p-0 d-3 o-47", list(range(FIRST_PITCH, FIRST_DURATION))),
        ("i-0 o-47 p-0 d-3 [EOS]", [PAD]),
        ("i-0 o-47 p-0 d-3 [EOS] [PAD]", [PAD]),
    ],
)
def test_what_may_follow(text, expected):
    assert follow(text) == expected


def test_every_phrase_is_accepted(phrase_strategy):
    @given(phrase_strategy)
    @settings(max_examples=60, deadline=None)
    def check(phrase):
        ids = encode(phrase)
        state = PhraseGrammar.initial(1)
        for place, token in enumerate([*ids, EOS]):
            assert PhraseGrammar.mask(state, remaining=len(ids) - place)[0, token]
            state = PhraseGrammar.advance(state, np.array([token]))

    check()


def random_walk(seed: int, batch: int, max_tokens: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    state = PhraseGrammar.initial(batch)
    rows: list[list[int]] = [[] for _ in range(batch)]
    for place in range(max_tokens):
        mask = PhraseGrammar.mask(state, remaining=max_tokens - place)
        assert mask.any(1).all()
        tokens = np.where(mask, rng.random(mask.shape), -1.0).argmax(1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.append(token)
        state = PhraseGrammar.advance(state, tokens)
    return [[token for token in row if token not in (EOS, PAD)] for row in rows]


@given(st.integers(0, 2**32), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_every_walk_under_the_mask_decodes_without_repair_and_encodes_to_itself(seed, max_tokens):
    for ids in random_walk(seed, 16, max_tokens):
        phrase, report = decode(ids)
        assert report.num_repairs == 0
        assert (encode(phrase) if phrase else ids) == ids


def test_rows_of_a_batch_do_not_touch_each_other():
    state = PhraseGrammar.initial(2)
    for first, second in (("i-0", "i-13"), ("o-10", "o-20"), ("p-60", "p-50"), ("d-3", "d-3")):
        state = PhraseGrammar.advance(state, np.array(from_text(f"{first} {second}")))
    lists = allowed_tokens(state)
    assert lists == [follow("i-0 o-10 p-60 d-3"), follow("i-13 o-20 p-50 d-3")]
    assert allowed_tokens(state.keep(np.array([1]))) == lists[1:]
    assert allowed_tokens(state.keep(np.array([False, True]))) == lists[1:]


def test_a_phrase_is_never_cut_in_the_middle_of_a_note():
    state = PhraseGrammar.initial(1)
    for token in from_text("i-0 o-5 p-2 d-3"):
        state = PhraseGrammar.advance(state, np.array([token]))
    kinds = [
        {vocabulary.TOKENS[token][0] for token in np.flatnonzero(mask)}
        for mask in (PhraseGrammar.mask(state, remaining)[0] for remaining in (3, 2, 1, 0))
    ]
    assert kinds == [{"[", "o", "p"}, {"[", "p"}, {"["}, {"["}]
