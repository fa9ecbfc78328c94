import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrase_models.errors import UserError
from phrase_models.score.song import PIANO, Phrase, PhraseNote
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import (
    SPECIAL_PHRASES,
    DecodeReport,
    decode,
    encode,
    from_text,
    tidy_notes,
    to_text,
)

CHORD = Phrase(
    25,
    (PhraseNote(0, 64, 12), PhraseNote(0, 60, 24), PhraseNote(0, 55, 12), PhraseNote(45, 62, 36)),
)
CHORD_TEXT = "i-25 o-0 p-64 d-12 p-60 d-24 p-55 d-12 o-45 p-62 d-36"


def decode_text(text: str) -> tuple[str, int]:
    phrase, report = decode(from_text(text))
    return "" if phrase is None else to_text(encode(phrase)), report.num_repairs


def test_a_phrase_is_program_then_onsets_upwards_with_pitches_downwards():
    assert to_text(encode(CHORD)) == CHORD_TEXT
    assert decode(from_text(CHORD_TEXT)) == (CHORD, DecodeReport(0))


def test_encoding_sorts_and_shortens_to_what_tokens_can_say():
    mixed = Phrase(0, (PhraseNote(3, 60, 500), PhraseNote(0, 50, 1), PhraseNote(0, 62, 3)))
    assert to_text(encode(mixed)) == "i-0 o-0 p-62 d-3 p-50 d-1 o-3 p-60 d-127"


@pytest.mark.parametrize("token", SPECIAL_PHRASES)
def test_special_phrases_hold_no_music_and_need_no_repair(token):
    assert decode([token]) == (None, DecodeReport(0))


@pytest.mark.parametrize(
    ("text", "repaired", "num_repairs"),
    [
        ("o-0 p-60 d-3", "i-0 o-0 p-60 d-3", 1),  # no program
        ("i-13 p-60 d-3 o-0 p-62 d-3", "i-13 o-0 p-62 d-3", 2),  # pitch and duration before onset
        ("i-13 o-0 p-60 p-62 d-3", "i-13 o-0 p-62 d-3", 1),  # pitch without duration
        ("i-13 o-0 p-60 d-3 p-58", "i-13 o-0 p-60 d-3", 1),  # the same at the end
        ("i-13 o-0 p-60 o-3 p-62 d-3", "i-13 o-3 p-62 d-3", 2),  # then its onset is empty too
        ("i-13 o-0 o-3 p-62 d-3", "i-13 o-3 p-62 d-3", 1),  # onset without note
        ("i-13 o-3 p-62 d-3 o-6", "i-13 o-3 p-62 d-3", 1),
        ("i-13 o-3 p-62 d-3 d-6", "i-13 o-3 p-62 d-3", 1),  # duration without pitch
        ("i-13 o-6 p-62 d-3 o-0 p-60 d-3", "i-13 o-0 p-60 d-3 o-6 p-62 d-3", 1),  # onset back
        ("i-13 o-6 p-62 d-3 o-6 p-60 d-3", "i-13 o-6 p-62 d-3 p-60 d-3", 1),  # onset repeated
        ("i-13 o-6 p-60 d-3 p-62 d-3", "i-13 o-6 p-62 d-3 p-60 d-3", 1),  # pitch upwards
        ("i-13 o-6 p-60 d-3 p-60 d-9", "i-13 o-6 p-60 d-9", 1),  # note twice: the longest
        ("i-13 i-0 o-6 p-60 d-3", "i-13 o-6 p-60 d-3", 1),  # second program
        ("o-6 i-13 p-60 d-3", "i-13 o-6 p-60 d-3", 1),  # program late
        ("i-13 o-6 b-1 p-60 d-3 [EOS]", "i-13 o-6 p-60 d-3", 2),
        ("i-13", "", 1),
        ("[EMPTY] [EMPTY]", "", 2),
        ("", "", 1),
    ],
)
def test_what_is_wrong_is_repaired_and_counted(text, repaired, num_repairs):
    assert decode_text(text) == (repaired, num_repairs)


def test_notes_without_program_become_piano():
    phrase, _ = decode(from_text("o-0 p-60 d-3"))
    assert phrase is not None
    assert phrase.program == PIANO


def test_any_phrase_survives_encoding(phrase_strategy):
    @given(phrase_strategy)
    @settings(max_examples=100, deadline=None)
    def check(phrase):
        ids = encode(phrase)
        assert decode(ids) == (phrase, DecodeReport(0))
        assert from_text(to_text(ids)) == ids

    check()


@given(st.lists(st.integers(-5, vocabulary.VOCABULARY_SIZE + 5), max_size=30))
@settings(max_examples=200, deadline=None)
def test_decoding_is_total_and_counts_no_repair_exactly_where_nothing_changed(ids):
    phrase, report = decode(ids)
    assert 0 <= report.num_repairs <= 2 * len(ids) + 1
    unchanged = len(ids) == 1 and ids[0] in SPECIAL_PHRASES
    if phrase is not None:
        unchanged = encode(phrase) == ids
        assert decode(encode(phrase)) == (phrase, DecodeReport(0))
    assert (report.num_repairs == 0) == unchanged


# Few distinct tokens, so that the lists are often nearly correct.
WORDS = ("i-0", "i-13", "o-0", "o-3", "p-60", "p-62", "d-3", "d-6")


@given(
    st.lists(
        st.sampled_from(["i-0", "i-13", "o-0", "o-3", "p-60", "p-62", "d-3", "d-6"]), max_size=14
    )
)
@settings(max_examples=300, deadline=None)
def test_nearly_correct_tokens_too(words):
    ids = from_text(" ".join(words))
    phrase, report = decode(ids)
    assert (report.num_repairs == 0) == (phrase is not None and encode(phrase) == ids)


def test_tidy_notes_keeps_the_longest_of_equal_places():
    notes = [PhraseNote(0, 60, 3), PhraseNote(0, 60, 9), PhraseNote(0, 62, 1)]
    assert tidy_notes(notes) == (PhraseNote(0, 62, 1), PhraseNote(0, 60, 9))


@pytest.mark.parametrize("word", ["d-0", "d-128", "p-128", "o-48", "i-129", "x"])
def test_a_word_that_is_no_token_is_named_with_its_place(word):
    with pytest.raises(UserError, match=f"Word 3 of the tokens, '{word}'"):
        from_text(f"i-0 o-0 {word}")


def test_reports_add_up():
    assert DecodeReport(2) + DecodeReport(3) == DecodeReport(5)
