"""Forms: taken from tokens, checked, related, written, read, applied and loosened."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_edits import apply_form, obeyed, scale_repeats
from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.form_text import format_form, parse_form
from phrase_models.form.song_form import (
    NO_SOURCE,
    CellState,
    SongForm,
    relations,
    repeated_bars,
    roots,
)
from phrase_models.score.song import Section, parse_section_layout
from phrase_models.tokens.remiz import from_text
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars, text_to_song
from phrase_models.tokens.vocabulary import EMPTY_SLOT, END_OF_BAR

EMPTY = [EMPTY_SLOT]
PHRASE = from_text("i-13 o-0 p-60 d-12 o-12 p-64 d-12")
SAME_NOTES = from_text("i-13 o-0 p-60 d-6 o-12 p-64 d-24")
SAME_RHYTHM = from_text("i-13 o-0 p-67 p-60 d-12 o-12 p-65 d-12")
OTHER = from_text("i-13 o-6 p-60 d-12")
THIRD = from_text("i-13 o-3 p-60 d-12")
S, N, R, V, T = CellState


def song(*rows):
    """(bars, slots) from one list of phrases a slot."""
    return [list(bar) for bar in zip(*rows, strict=True)]


def one_slot(*phrases):
    return song(phrases)


@st.composite
def forms(draw):
    """Any valid form of three slots."""
    num_bars = draw(st.integers(1, 14))
    states = np.full((num_bars, 3), S, np.int8)
    sources = np.full((num_bars, 3), NO_SOURCE)
    for bar, slot in np.ndindex(states.shape):
        possible = [int(b) for b in np.flatnonzero(states[:bar, slot] != S)]
        states[bar, slot] = draw(st.sampled_from([S, N, R, V, T] if possible else [S, N]))
        if states[bar, slot] > N:
            sources[bar, slot] = draw(st.sampled_from(possible))
    return SongForm(states, sources)


@st.composite
def token_songs(draw):
    phrases = [EMPTY, PHRASE, SAME_NOTES, SAME_RHYTHM, OTHER, THIRD]
    num_bars = draw(st.integers(1, 12))
    return [[draw(st.sampled_from(phrases)) for _ in range(3)] for _ in range(num_bars)]


SECTIONS = parse_section_layout("A3 B2 A3 A4")


# ------------------------------------------------------------------ extraction
def test_each_state_by_hand():
    form = form_of_slots(
        one_slot(PHRASE, EMPTY, SAME_NOTES, SAME_RHYTHM, OTHER, PHRASE, [END_OF_BAR], OTHER)
    )
    assert form.states[:, 0].tolist() == [N, S, V, T, N, R, S, R]
    assert form.sources[:, 0].tolist() == [-1, -1, 0, 2, -1, 0, -1, 4]


def test_the_strongest_likeness_wins_over_the_nearest():
    form = form_of_slots(one_slot(PHRASE, SAME_NOTES, SAME_RHYTHM, PHRASE))
    assert form.states[:, 0].tolist() == [N, V, T, R]
    assert form.sources[3, 0] == 0


def test_sources_without_sections_prefer_lag_8_4_2_1_then_the_earliest():
    eight = [PHRASE] * 9
    assert form_of_slots(one_slot(*eight)).sources[:, 0].tolist() == [-1, 0, 0, 1, 0, 1, 2, 3, 0]
    late = [PHRASE, OTHER, PHRASE, OTHER, OTHER, PHRASE]
    assert form_of_slots(one_slot(*late)).sources[5, 0] == 0


def test_matching_bars_of_the_section_that_fits_best_come_first():
    # Melody of the third A equals both As; its piano only the second.
    melody = [PHRASE, OTHER, PHRASE, OTHER, PHRASE, OTHER]
    piano = [THIRD, PHRASE, PHRASE, SAME_RHYTHM, PHRASE, SAME_RHYTHM]
    sections = parse_section_layout("A2 A2 A2")
    form = form_of_slots(song(melody, piano), sections)
    assert form.sources.tolist()[4:] == [[2, 2], [3, 3]]
    unlabelled = form_of_slots(song(melody, piano))
    assert unlabelled.sources.tolist()[4:] == [[0, 2], [1, 3]]


def test_of_equal_sections_the_earliest_is_the_source():
    sections = parse_section_layout("A1 A1 A1")
    assert form_of_slots(one_slot(PHRASE, PHRASE, PHRASE), sections).sources[:, 0].tolist() == [
        -1,
        0,
        0,
    ]


def test_slots_without_matching_bar_follow_the_other_slots():
    # Bar 6 (b): melody fits only its matching bar 0; piano fits 0 and the bar before.
    melody = [PHRASE, OTHER, THIRD, OTHER, THIRD, PHRASE]
    piano = [PHRASE, OTHER, THIRD, OTHER, PHRASE, PHRASE]
    sections = (Section("A", 0, 1), Section("x", 1, 4), Section("B", 5, 1))
    form = form_of_slots(song(melody, piano), sections)
    assert form.sources[5].tolist() == [0, 4]  # lag 1 is looked for before the earliest
    form = form_of_slots(
        song(melody, piano), (Section("A", 0, 1), Section("x", 1, 4), Section("A", 5, 1))
    )
    assert form.sources[5].tolist() == [0, 0]


def test_sections_beyond_the_song_and_ragged_bars():
    form = form_of_slots(one_slot(PHRASE, PHRASE), parse_section_layout("A1 A9"))
    assert form.sources[:, 0].tolist() == [-1, 0]
    for slots in ([], [[PHRASE], [PHRASE, PHRASE]]):
        with pytest.raises(ConfigurationError, match="at least one bar"):
            form_of_slots(slots)


@given(token_songs())
def test_form_is_exact(slots):
    form = form_of_slots(slots, SECTIONS)
    first = roots(form)
    for bar, slot in np.ndindex(form.states.shape):
        equal = [b for b in range(bar) if slots[b][slot] == slots[bar][slot]]
        if slots[bar][slot] == EMPTY:
            assert form.states[bar, slot] == S
            assert first[bar, slot] == bar
        else:
            assert (form.states[bar, slot] == R) == bool(equal)
            assert first[bar, slot] == min([*equal, bar])
    assert obeyed(form, slots) == 1.0
    assert apply_form(slots, form) == slots


@given(token_songs())
def test_relations_are_those_of_the_tokens_whatever_the_sources(slots):
    related = relations(form_of_slots(slots, SECTIONS))
    assert np.array_equal(related, relations(form_of_slots(slots)))
    keys = [tuple, lambda p: tuple(t for t in p if t < from_text("d-1")[0]), rhythm]
    for kind, key in enumerate(keys):
        for slot in range(3):
            column = [bar[slot] for bar in slots]
            for i, j in np.ndindex(len(slots), len(slots)):
                expected = i != j and column[i] != EMPTY and key(column[i]) == key(column[j])
                assert related[kind, slot, i, j] == (expected and column[j] != EMPTY)


def rhythm(phrase):
    return {t for t in phrase if from_text("o-0")[0] <= t < from_text("p-0")[0]}


# ------------------------------------------------------------------ the object
@pytest.mark.parametrize(
    ("states", "sources", "complaint"),
    [
        ([[N], [R]], [[-1], [1]], "bar 2 of the melody repeats bar 2, which does not come before"),
        ([[N], [V]], [[-1], [5]], "bar 2 of the melody varies an earlier bar but does not say"),
        ([[N], [R]], [[-1], [-1]], "bar 2 of the melody repeats an earlier bar but does not say"),
        ([[S], [R]], [[-1], [0]], "bar 2 of the melody repeats bar 1, where it is silent"),
        ([[N], [N]], [[-1], [0]], "bar 2 of the melody is new and yet names bar 1"),
        ([[N], [7]], [[-1], [-1]], "bar 2 of the melody has the state 7"),
        ([[N]], [[-1], [-1]], "of one shape"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "at least one"),
    ],
)
def test_contradictions_are_refused_with_their_place(states, sources, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        SongForm(np.array(states), np.array(sources))


def test_forms_are_values():
    states, sources = np.array([[N], [R]]), np.array([[-1], [0]])
    form, same = SongForm(states, sources), SongForm(states, sources)
    assert form == same
    assert hash(form) == hash(same)
    assert (form.num_bars, form.num_slots) == (2, 1)
    assert form != SongForm(np.array([[N], [V]]), sources)
    assert form != "form"
    states[0] = S
    assert form == same
    with pytest.raises(ValueError, match="read-only"):
        form.states[0, 0] = S


def test_roots_follow_chains_and_stop_at_variations():
    form = SongForm(np.array([[N], [R], [R], [V], [R], [S]]), np.array([[-1, 0, 1, 2, 3, -1]]).T)
    assert roots(form)[:, 0].tolist() == [0, 0, 0, 3, 3, 5]


def test_bars_that_repeat_one_bar():
    states = np.array([[N, N, S], [N, S, S], [R, R, S], [R, S, S], [R, R, S], [R, V, S], [S] * 3])
    sources = np.array(
        [[-1] * 3, [-1] * 3, [0, 0, -1], [1, -1, -1], [1, 0, -1], [0, 0, -1], [-1] * 3]
    )
    assert repeated_bars(SongForm(states, sources)).tolist() == [0, 0, 1, 1, 0, 0, 0]


@given(forms())
def test_relations_are_nested_equivalences(form):
    related = relations(form)
    assert related.shape == (3, 3, form.num_bars, form.num_bars)
    assert np.array_equal(related, related.swapaxes(2, 3))
    assert not (related[0] & ~related[1]).any()
    assert not (related[1] & ~related[2]).any()
    closed = related | np.eye(form.num_bars, dtype=bool)
    assert np.array_equal(closed @ closed, closed)
    first = roots(form)
    for slot in range(3):
        equal = first[:, None, slot] == first[None, :, slot]
        assert np.array_equal(equal, closed[0, slot])


# ------------------------------------------------------------------ text
def test_grid_by_hand():
    form = form_of_slots(
        song(
            [EMPTY, PHRASE, SAME_NOTES, PHRASE],
            [EMPTY] * 4,
            [PHRASE, PHRASE, SAME_RHYTHM, OTHER],
        )
    )
    assert format_form(form, parse_section_layout("i1 A3")) == (
        "# i1, bars 1 to 1\nmelody  .\nbridge  .\npiano   *\n\n"
        "# A3, bars 2 to 4\nmelody  *  ~2 =2\nbridge  .  .  .\npiano   =1 ^1 *\n"
    )


@given(forms(), st.sampled_from(["", "A2 b3", "i4 A30"]))
def test_grid_round_trip(form, layout):
    sections = parse_section_layout(layout) if layout else None
    assert parse_form(format_form(form, sections)) == form


def test_reading_is_tolerant():
    text = "  # mine\n\nPiano: * | =1 # again\nMELODY . .\nbridge\t.   *\n\n"
    assert parse_form(text) == SongForm(
        np.array([[S, S, N], [S, N, R]]), np.array([[-1, -1, -1], [-1, -1, 0]])
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("melody *\nviolin *", "Line 2 of the form: 'violin' is no instrument"),
        ("melody * ?5", r"Line 1 of the form: '\?5' is no cell"),
        ("melody", "Line 1 of the form: the melody has no cells"),
        (
            "melody * *\nbridge *\npiano * *",
            "Line 3 of the form: the instruments do not have equal",
        ),
        ("melody *\nmelody *", "Line 2 of the form: the melody begins another block"),
        ("melody *\nbridge *\n", "Line 2 of the form: the piano has no line in the last block"),
        ("piano *\nmelody *\nbridge =1", "Line 3 of the form: bar 1 of the bridge repeats bar 1"),
        ("piano *\nmelody =0\nbridge .", "Line 2 of the form: bar 1 of the melody repeats an earl"),
        ("# nothing", "holds no bar"),
    ],
)
def test_wrong_text_is_named_by_its_line(text, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        parse_form(text)


def test_only_three_slots_are_written():
    with pytest.raises(ConfigurationError, match="3 instruments, not 1"):
        format_form(SongForm(np.array([[N]]), np.array([[-1]])))


# ------------------------------------------------------------------ edits
@given(forms())
def test_applied_forms_are_obeyed_and_found_again(form):
    distinct = [
        [from_text(f"i-0 o-{bar} o-{bar + 20} p-{40 + slot} d-3") for slot in range(3)]
        for bar in range(form.num_bars)
    ]
    slots = apply_form(distinct, form)
    assert obeyed(form, slots) == 1.0
    found = form_of_slots(slots)
    assert np.array_equal(relations(found)[0], relations(form)[0])
    assert np.array_equal(found.states == S, form.states == S)


def test_obeyed_counts_cells():
    form = SongForm(np.array([[N, S], [R, N]]), np.array([[-1, -1], [0, -1]]))
    assert obeyed(form, [[PHRASE, EMPTY], [PHRASE, OTHER]]) == 1.0
    assert obeyed(form, [[PHRASE, EMPTY], [OTHER, OTHER]]) == 3 / 4
    assert obeyed(form, [[PHRASE, OTHER], [EMPTY, EMPTY]]) == 1 / 4
    assert obeyed(form, [[PHRASE, EMPTY]]) == 2 / 4
    assert obeyed(form, [[PHRASE, EMPTY], [PHRASE, OTHER], [PHRASE, OTHER]]) == 4 / 6


def test_apply_refuses_another_length():
    with pytest.raises(ConfigurationError, match="2 bars of 1 slots, but the song has 1 bars"):
        apply_form([[PHRASE]], SongForm(np.array([[N], [N]]), np.array([[-1], [-1]])))


def test_variation_scales_whole_runs():
    num_runs, length = 40, 5
    states = np.full((length * (num_runs + 1), 1), R)
    states[:length] = N
    sources = np.full(states.shape, NO_SOURCE)
    for run in range(1, num_runs + 1):  # all repeat the first bars, so each run has its own lag
        sources[run * length : (run + 1) * length, 0] = np.arange(length)
    form = SongForm(states, sources)
    assert scale_repeats(form, 0.0, np.random.default_rng(0)) == form
    everything = scale_repeats(form, 1.0, np.random.default_rng(0))
    assert set(everything.states[length:, 0].tolist()) == {V}
    half, more = (scale_repeats(form, v, np.random.default_rng(0)) for v in (0.5, 0.7))
    varied = (half.states[length:, 0] == V).reshape(num_runs, length)
    assert (varied.all(axis=1) == varied.any(axis=1)).all()
    assert 10 <= varied.all(axis=1).sum() <= 30
    assert ((more.states == V) | (half.states != V)).all()
    assert np.array_equal(half.sources, form.sources)
    with pytest.raises(ConfigurationError, match="0 to 1"):
        scale_repeats(form, 1.5, np.random.default_rng(0))


# ------------------------------------------------------------------ a real song
def test_golden_song(pop909_root: Path):
    text = (pop909_root / "golden" / "001.remiz.txt").read_text()
    slots = bars_to_slots(song_to_bars(text_to_song(text)), "role")
    form = form_of_slots(slots)
    assert parse_form(format_form(form)) == form
    assert obeyed(form, slots) == 1.0
    distinct = [{tuple(bar[slot]) for bar in slots} - {(EMPTY_SLOT,)} for slot in range(3)]
    first = roots(form)
    for slot in range(3):
        plays = form.states[:, slot] != S
        assert len(set(first[plays, slot].tolist())) == len(distinct[slot])
