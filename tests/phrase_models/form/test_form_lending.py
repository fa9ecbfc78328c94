"""Forms lent by training songs."""

from dataclasses import replace

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_lending import (
    LendingSong,
    fit_to_layout,
    form_distance,
    layout_distance,
    lend,
    lend_to_form,
    lend_to_layout,
    nearest_distances,
    share_reproduced,
)
from phrase_models.form.form_text import parse_form
from phrase_models.form.song_form import CellState, SongForm
from phrase_models.form.texture import NO_TEXTURE, UNKNOWN_TEXTURE
from phrase_models.score.song import parse_section_layout


def grid(melody, piano=None):
    silent = " ".join("." for _ in melody.split())
    return parse_form(f"melody {melody}\nbridge {silent}\npiano {piano or melody}")


def lender(layout, melody, piano=None):
    form = grid(melody, piano)
    chords = np.arange(2 * form.num_bars).reshape(-1, 2)
    return LendingSong(parse_section_layout(layout), form, chords)


SONG = lender("A2 B1 A2 B1", "* * * =1 ~2 =3", "* =1 . =1 =2 .")


def test_one_song_lends_everything_together():
    other = lender("A1", "*")
    drawn = {len(lend(np.random.default_rng(s), [SONG, other]).sections) for s in range(20)}
    assert drawn == {1, 4}
    assert lend(np.random.default_rng(0), [SONG, other], 6) is SONG
    with pytest.raises(ConfigurationError, match="of 7 bars"):
        lend(np.random.default_rng(0), [SONG, other], 7)


def test_distance_of_layouts():
    def distance(first, second):
        return layout_distance(parse_section_layout(first), parse_section_layout(second))

    assert distance("i4 A8 B8", "i4 A8 B8") == 0
    assert distance("i4 A8 B8", "i4 C8 A8") == 0  # letters by order of appearance
    assert distance("i4 A8", "i2 A8") == 0.5
    assert distance("i4 A8", "A8") == 1
    assert distance("i4 A8", "o4 A8") == 1
    assert distance("A8 B8 o2", "i2 A8 B8") == 2


def test_own_layout_gives_the_form_back():
    fitted = fit_to_layout(SONG, SONG.sections)
    assert fitted.form == SONG.form
    assert np.array_equal(fitted.chords, SONG.chords)


def test_fitted_by_kind_and_occurrence_to_other_lengths():
    # Bars: A 1-2, A 3-4, B 5, A 6-7 (a third A takes the second's pattern), B 8.
    fitted = fit_to_layout(SONG, parse_section_layout("C2 C2 x1 C2 D1"))
    assert fitted.form == grid("* * =1 ~2 * =1 ~2 *", "* =1 =1 =2 . =1 =2 .")
    assert fitted.chords[:, 0].tolist() == [0, 2, 6, 8, 4, 6, 8, 4]


@pytest.mark.parametrize(
    ("lending", "layout", "bars"),
    [
        ("A5 B1", "C7 D1", [0, 1, 2, 3, 4, 0, 1, 5]),
        ("A1 B5", "C7 D6", [0, 1, 2, 3, 0, 1, 2, 1, 2, 3, 4, 5, 1]),  # A with the bars after it
        ("A5 B1", "C5 D4", [0, 1, 2, 3, 4, 2, 3, 4, 5]),  # B with those before it
        ("A1 B1", "C3 D3", [0, 1, 0, 0, 1, 0]),  # no more bars are there
    ],
)
def test_longer_sections_go_through_the_pattern_again_and_no_bar_stands_still(
    lending, layout, bars
):
    song = lender(lending, " ".join("*" * sum(int(part[1:]) for part in lending.split())))
    fitted = fit_to_layout(song, parse_section_layout(layout))
    assert (fitted.chords[:, 0] // 2).tolist() == bars


def test_a_texture_goes_with_its_bars_and_obeys_the_form_that_borrows_it():
    numbers = np.arange(1, 1 + 6 * 3).reshape(6, 3, 1).repeat(5, axis=2)  # cell (bar, slot)
    song = replace(SONG, texture=numbers)
    layout = parse_section_layout("C3 C2")
    fitted = fit_to_layout(song, layout)
    assert fitted.texture[:, 0, 0].tolist() == [1, 4, 7, 10, 13]  # bars 0, 1, 2 and 3, 4
    form = grid("* * =2 . *", "* * * =1 *")
    texture = lend_to_form(np.random.default_rng(0), [song], layout, form).texture
    assert texture.shape == (5, 3, 5)
    assert texture[:, 0, 0].tolist() == [1, 4, 4, NO_TEXTURE, 13]  # bar 3 repeats bar 2
    assert (texture[:, 1] == NO_TEXTURE).all()  # the bridge is silent
    assert texture[:, 2, 0].tolist() == [3, 6, 12, 3, 15]  # the piano is silent in bar 2
    with pytest.raises(ConfigurationError, match="No training song"):
        lend_to_form(np.random.default_rng(0), [], layout, form)


def test_of_several_similar_layouts_each_lends_to_some_song():
    songs = [
        replace(lender(layout, "* * *"), texture=np.full((3, 3, 5), number))
        for number, layout in enumerate(("A2 B1", "i1 A2", "x1 o1 b1", "A3"))
    ]
    layout = parse_section_layout("A2 B2")  # half a section, one and a half, two or more from these

    def lent(among):
        drawn = (lend_to_layout(np.random.default_rng(s), songs, layout, among) for s in range(40))
        return {int(song.texture[0, 0, 0]) for song in drawn}

    assert lent(1) == {0}
    assert len(lent(2)) == 2
    assert lent(9) == {0, 1, 2, 3}


def test_a_song_whose_bars_would_stay_in_their_places_lends_only_where_it_is_alone():
    layout = parse_section_layout("A2 B2")
    in_place = lender("A2 B1", "* * *")  # bars 0, 1, then 1, 2: half
    moved = lender("i1 A2", "* * *")  # bars 1, 2, then 1, 2

    def lent(songs, most_in_place):
        rngs = map(np.random.default_rng, range(20))
        drawn = (lend_to_layout(rng, songs, layout, 9, most_in_place) for rng in rngs)
        return {song.chords[0, 0].item() for song in drawn}

    assert lent([in_place, moved], 0.5) == {0, 2}
    assert lent([in_place, moved], 0.49) == {2}
    assert lent([in_place], 0.49) == {0}
    form = grid("* * * *")
    rng = np.random.default_rng(0)
    assert lend_to_form(rng, [in_place, moved], layout, form, 9, 0.49).chords[0, 0] == 2


def test_a_passage_in_which_the_lender_is_silent_has_the_texture_of_another_passage():
    numbers = np.arange(1, 1 + 17)[:, None, None].repeat(3, axis=1).repeat(5, axis=2)
    plays = "* * * * * * * *"
    song = replace(
        lender("A16 B1", f"{plays} . . . . . . . . *", f"{plays} {plays} *"), texture=numbers
    )
    form = grid(f"{plays} {plays}")
    lent = lend_to_form(np.random.default_rng(0), [song], parse_section_layout("A16"), form)
    assert lent.texture[:, 0, 0].tolist() == [*range(1, 9), *range(1, 9)]
    assert lent.texture[:, 2, 0].tolist() == [*range(1, 17)]


def test_cells_that_play_where_the_lender_is_silent_have_the_texture_of_the_like_bar():
    numbers = np.arange(1, 1 + 7 * 3).reshape(7, 3, 1).repeat(5, axis=2)  # cell (bar, slot)
    song = replace(lender("A6 B1", "* . . . * * *", "* * * * * * *"), texture=numbers)
    form = parse_form("melody * * * * * *\nbridge * . . . . .\npiano * * * * * *")
    lent = lend_to_form(np.random.default_rng(0), [song], parse_section_layout("A6"), form)
    assert lent.texture[:, 0, 0].tolist() == [1, 16, 1, 16, 13, 16]  # bars 0, 4 and 5 play
    assert lent.texture[:, 1, 0].tolist() == [UNKNOWN_TEXTURE, *[NO_TEXTURE] * 5]
    assert lent.texture[:, 2, 0].tolist() == [3, 6, 9, 12, 15, 18]


def test_bars_whose_harmony_repeats_have_the_chords_of_what_they_repeat():
    song = lender("A8 B1", "* * * * * * * * *")
    form = parse_form(
        "melody * =1 * * * =4 . *\nbridge * * . * * * =5 *\npiano * * =1 =2 * ~3 . ^4"
    )
    lent = lend_to_form(np.random.default_rng(0), [song], parse_section_layout("A8"), form)
    assert lent.form == form
    # Bar 2 has those of bar 1 by its melody, bars 3 and 4 by their pianos, bar 6 too and not by its
    # melody, bar 7 has those of bar 5 by its bridge, and a rhythm alone says nothing of harmony.
    assert lent.chords[:, 0].tolist() == [0, 0, 0, 0, 8, 0, 8, 14]


def test_a_source_that_is_not_there_makes_the_cell_new():
    song = lender("i1 A1", "* =1")
    assert fit_to_layout(song, parse_section_layout("A1")).form == grid("*")


def test_the_most_similar_other_layout_lends():
    near, far = lender("A2 B1 A2", "* * * =1 =2"), lender("i1 o1", "* *")
    songs = [far, SONG, near]
    lent = lend_to_layout(np.random.default_rng(0), songs, SONG.sections)
    assert lent.sections == SONG.sections
    assert lent.form == fit_to_layout(near, SONG.sections).form
    with pytest.raises(ConfigurationError, match="another layout"):
        lend_to_layout(np.random.default_rng(0), [SONG], SONG.sections)


def test_distance_of_forms():
    first = grid("* * =1 =1", "* * * *")
    assert form_distance(first, first) == 0
    chained = grid("* * =1 =3", "* * * *")
    assert form_distance(first, chained) == 0
    assert form_distance(first, grid("* * =1 ~1", "* * * *")) == pytest.approx(1 / 12)
    assert form_distance(first, grid("* * =1", "* * *")) == pytest.approx(3 / 12)


def random_forms(seed, count):
    rng = np.random.default_rng(seed)
    forms = []
    for _ in range(count):
        states = rng.integers(0, 2, (20, 3))
        forms.append(SongForm(states, np.full((20, 3), -1)))
    return forms


def test_forms_learnt_by_heart_are_found():
    training, held_out, fresh = (random_forms(seed, 30) for seed in range(3))
    assert nearest_distances(training, training) == [0.0] * 30
    assert share_reproduced(training, training, held_out) == 1.0
    assert share_reproduced(fresh, training, held_out) <= 0.2
    states = training[0].states.copy()
    states[0] = 1 - states[0]
    nearly = SongForm(states, training[0].sources)
    assert share_reproduced([nearly], training, held_out) == 1.0
    assert (states != CellState.SILENT).any()
