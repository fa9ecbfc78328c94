from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.score.midi import read_midi
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    Note,
    Phrase,
    PhraseNote,
    Section,
    Song,
    Track,
)
from phrase_models.tokens.remiz import DecodeReport, from_text, to_text
from phrase_models.tokens.song_layout import (
    bars_to_slots,
    bars_to_song,
    check_layout,
    slots_per_bar,
    slots_to_bars,
    song_to_bars,
    song_to_text,
    text_to_song,
)
from phrase_models.tokens.vocabulary import VOCABULARY_SIZE

LAYOUTS = ("role", "pitch_order")
SONG = Song(
    "two",
    3,
    (
        Track(MELODY, (Note(0, 72, 12), Note(40, 74, 20), Note(48, 76, 6))),
        Track(BRIDGE, (Note(48, 80, 127),)),
        Track(PIANO, (Note(0, 48, 48), Note(0, 52, 48), Note(48, 47, 48))),
    ),
)
SONG_TEXT = (
    "i-13 o-0 p-72 d-12 o-40 p-74 d-20 i-0 o-0 p-52 d-48 p-48 d-48 b-1 "
    "i-25 o-0 p-80 d-127 i-13 o-0 p-76 d-6 i-0 o-0 p-47 d-48 b-1 "
    "b-1"
)


def phrase(program: int, *notes: tuple[int, int]) -> Phrase:
    return Phrase(program, tuple(PhraseNote(onset, pitch, 3) for onset, pitch in notes))


def slots_of(*bars: str) -> list[list[list[int]]]:
    return [[from_text(slot) for slot in bar.split("|")] for bar in bars]


def texts_of(slots: list[list[list[int]]]) -> list[list[str]]:
    return [[to_text(slot) for slot in bar] for bar in slots]


# --------------------------------------------------------------------------- bars and text
def test_bars_hold_phrases_by_descending_mean_pitch_and_whole_durations():
    bars = song_to_bars(SONG)
    assert [[item.program for item in bar] for bar in bars] == [
        [MELODY, PIANO],
        [BRIDGE, MELODY, PIANO],
        [],
    ]
    assert bars[0][0].notes == (PhraseNote(0, 72, 12), PhraseNote(40, 74, 20))
    assert bars_to_song(bars, song_id="two") == SONG


def test_text_has_a_barline_after_each_bar_even_a_silent_one():
    assert song_to_text(SONG) == SONG_TEXT
    assert text_to_song(SONG_TEXT, song_id="two") == SONG


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # 60 and 62 in the mean against 61: the earlier first onset decides, then the role.
        (phrase(PIANO, (0, 61)), phrase(MELODY, (3, 62), (6, 60)), [PIANO, MELODY]),
        (phrase(PIANO, (3, 61)), phrase(MELODY, (3, 62), (6, 60)), [MELODY, PIANO]),
        (phrase(PIANO, (3, 61)), phrase(BRIDGE, (3, 61)), [BRIDGE, PIANO]),
        (phrase(BRIDGE, (3, 61)), phrase(MELODY, (3, 61)), [MELODY, BRIDGE]),
        (phrase(128, (3, 61)), phrase(PIANO, (3, 61)), [PIANO, 128]),
        (phrase(MELODY, (0, 61)), phrase(PIANO, (9, 62)), [PIANO, MELODY]),
    ],
)
def test_ties_of_mean_pitch(first, second, expected):
    for bar in ([first, second], [second, first]):
        song = bars_to_song([bar])
        assert [item.program for item in song_to_bars(song)[0]] == expected


def test_the_golden_song_comes_back_token_for_token(pop909_root):
    text = (pop909_root / "golden" / "001.remiz.txt").read_text().strip()
    song = text_to_song(text)
    assert (song.num_bars, song.num_notes, len(text.split())) == (71, 1550, 4458)
    assert song_to_text(song) == text
    for layout in LAYOUTS:
        slots = bars_to_slots(song_to_bars(song), layout)
        assert slots_to_bars(slots, layout) == (song_to_bars(song), DecodeReport(0))


def test_songs_survive_text_slots_and_midi(song_strategy, tmp_path):
    path = tmp_path / "song.mid"

    @given(song_strategy, st.sampled_from(LAYOUTS))
    @settings(max_examples=60, deadline=None)
    def check(song, layout):
        bars = song_to_bars(song)
        text = song_to_text(song)
        assert bars_to_song(bars, song_id="song") == song
        assert text_to_song(text, song_id="song") == song
        slots = bars_to_slots(bars, layout)
        assert {len(bar) for bar in slots} == {slots_per_bar(layout)}
        assert slots_to_bars(slots, layout) == (bars, DecodeReport(0))
        if song.num_notes:
            write_midi(song, path)
            assert song_to_text(read_midi(path)) == text

    check()


def test_a_note_struck_again_ends_there_also_over_the_barline():
    bars = [[phrase(PIANO, (45, 60))], [phrase(PIANO, (0, 60))]]
    long = replace(bars[0][0], notes=(PhraseNote(45, 60, 100),))
    song = bars_to_song([[long], bars[1]])
    assert song.tracks[0].notes == (Note(45, 60, 3), Note(48, 60, 3))


def test_phrases_of_one_program_in_a_bar_are_joined():
    song = bars_to_song([[phrase(PIANO, (0, 60)), phrase(PIANO, (0, 60), (6, 62))]])
    assert song.tracks == (Track(PIANO, (Note(0, 60, 3), Note(6, 62, 3))),)


def test_sections_end_with_the_last_bar():
    sections = (Section("A", 0, 2), Section("B", 2, 4), Section("o", 6, 2))
    song = bars_to_song([[], [], []], sections=sections, tempo_bpm=100.0, key_shift=-3)
    assert song.sections == (Section("A", 0, 2), Section("B", 2, 1))
    assert (song.tempo_bpm, song.key_shift, song.num_bars) == (100.0, -3, 3)


@pytest.mark.parametrize("onset", [-1, 3 * 48])
def test_a_note_outside_the_bars_is_refused_not_lost(onset):
    with pytest.raises(ValueError, match="of 3 bars has notes in"):
        song_to_bars(Song("x", 3, (Track(PIANO, (Note(onset, 60, 3),)),)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("i-0 o-0 p-60 d-3", "do not end in b-1"),
        ("", "do not end in b-1"),
        ("b-1 i-0 o-0 p-60 b-1", "Bar 2 of the tokens holds no valid phrase"),
        ("o-0 p-60 d-3 b-1", "Bar 1 of the tokens"),
        ("i-0 o-3 p-60 d-3 o-0 p-60 d-3 b-1", "Bar 1 of the tokens"),
        ("[EMPTY] b-1", "Bar 1 of the tokens"),
        ("i-0 hello b-1", "Word 2 of the tokens, 'hello'"),
    ],
)
def test_wrong_text_is_refused_in_a_sentence(text, message):
    with pytest.raises(UserError, match=message):
        text_to_song(text)


# --------------------------------------------------------------------------- slots
def test_slots_of_both_layouts():
    bars = song_to_bars(SONG)
    first, second, bridge = (
        "i-13 o-0 p-72 d-12 o-40 p-74 d-20",
        "i-13 o-0 p-76 d-6",
        "i-25 o-0 p-80 d-127",
    )
    chord, bass = "i-0 o-0 p-52 d-48 p-48 d-48", "i-0 o-0 p-47 d-48"
    assert texts_of(bars_to_slots(bars, "role")) == [
        [first, "[EMPTY]", chord],
        [second, bridge, bass],
        ["[EMPTY]"] * 3,
    ]
    assert texts_of(bars_to_slots(bars, "pitch_order")) == [
        [first, chord, "[EMPTY]", "b-1"],
        [bridge, second, bass, "b-1"],
        ["[EMPTY]", "[EMPTY]", "[EMPTY]", "b-1"],
    ]
    assert [slots_per_bar(layout) for layout in LAYOUTS] == [3, 4]


@pytest.mark.parametrize(
    ("bar", "layout"),
    [
        ([phrase(40, (0, 60))], "role"),
        ([phrase(PIANO, (0, 60)), phrase(PIANO, (0, 62))], "role"),
        ([phrase(PIANO, (0, 60)), phrase(PIANO, (0, 62))], "pitch_order"),
        ([phrase(program, (0, 60)) for program in (0, 1, 2, 3)], "pitch_order"),
    ],
)
def test_a_bar_that_does_not_fit_the_slots_is_refused(bar, layout):
    with pytest.raises(ValueError, match="of a bar"):
        bars_to_slots([bar], layout)


NOTE = "o-0 p-60 d-3"


@pytest.mark.parametrize(
    ("layout", "bars", "programs", "num_repairs"),
    [
        ("role", [f"[EMPTY]|[EMPTY]|i-0 {NOTE}", "[END]|[END]|[END]"], [[PIANO]], 0),
        ("role", ["[END]|[EMPTY]|[EMPTY]", f"i-13 {NOTE}|[EMPTY]|[EMPTY]"], [], 0),
        # Music before the end of song stays; silence before it does not make a bar.
        ("role", [f"i-13 {NOTE}|[END]|[END]", "[END]|[END]|[END]"], [[MELODY]], 1),
        ("role", ["[EMPTY]|[END]|[END]"], [], 1),
        ("role", [f"i-0 {NOTE}|[EMPTY]|[EMPTY]"], [[MELODY]], 1),  # the slot decides
        ("role", ["[EMPTY]|b-1|[EMPTY]"], [[]], 1),
        ("pitch_order", [f"i-0 {NOTE}|[EMPTY]|[EMPTY]|b-1"], [[PIANO]], 0),
        ("pitch_order", [f"i-0 {NOTE}|b-1|[EMPTY]|b-1"], [[PIANO]], 1),
        ("pitch_order", [f"i-0 {NOTE}|[EMPTY]|[EMPTY]|i-13 {NOTE}"], [[PIANO]], 1),
        ("pitch_order", [f"i-0 {NOTE}|i-0 o-3 p-60 d-3|[EMPTY]|b-1"], [[PIANO]], 1),  # joined
        ("pitch_order", [f"i-0 {NOTE}|i-40 {NOTE}|[EMPTY]|b-1"], [[MELODY, PIANO]], 1),
        ("pitch_order", [f"[EMPTY]|i-0 {NOTE}|[EMPTY]|[END]"], [[PIANO]], 1),
    ],
)
def test_what_models_write_is_read_and_repairs_are_counted(layout, bars, programs, num_repairs):
    found, report = slots_to_bars(slots_of(*bars), layout)
    assert [[item.program for item in bar] for bar in found] == programs
    assert report.num_repairs == num_repairs


@given(
    st.lists(
        st.lists(st.lists(st.integers(-2, VOCABULARY_SIZE + 2), max_size=8), max_size=5), max_size=4
    ),
    st.sampled_from(LAYOUTS),
)
@settings(max_examples=150, deadline=None)
def test_reading_slots_is_total_and_its_bars_fit_the_slots_again(slots, layout):
    bars, _ = slots_to_bars(slots, layout)
    again = bars_to_slots(bars, layout)
    assert slots_to_bars(again, layout) == (bars, DecodeReport(0))


def test_only_the_two_layouts_have_names():
    assert [check_layout(layout) for layout in LAYOUTS] == list(LAYOUTS)
    with pytest.raises(
        ConfigurationError, match="no slot layout 'other'; there are role, pitch_order"
    ):
        check_layout("other")
