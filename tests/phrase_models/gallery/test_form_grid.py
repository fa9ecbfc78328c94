"""The strip of the form under a piano roll."""

import re

import pytest

from phrase_models.form.form_text import parse_form
from phrase_models.gallery.form_grid import form_legend, form_names, form_strip
from phrase_models.gallery.page import GallerySong, render_gallery

FORM = parse_form("melody * =1 ~1 .\nbridge . . * ^3\npiano * * =2 =2")


def cells(strip: str) -> list[str]:
    """Class of every cell, row by row; "" for silence."""
    return [
        match[1] or ""
        for match in re.finditer(r'<i(?: class="(\w+)")?(?: data-source="\d+")?(?: title|>)', strip)
    ]


def test_every_bar_of_every_instrument_has_a_cell_of_its_look():
    strip = form_strip(FORM, 4)
    assert cells(strip) == [
        *("new", "same", "like", ""),
        *("", "", "new", "like"),
        *("new", "new", "same", "same"),
    ]
    assert strip.count("<div style=") == 3


def test_a_cell_says_in_words_what_it_does_and_which_bar_it_takes_up():
    strip = form_strip(FORM, 4)
    for title in (
        "melody, bar 1: new",
        "melody, bar 2: repeats bar 1",
        "melody, bar 3: varies bar 1: its notes with other lengths",
        "melody, bar 4: silent",
        "bridge, bar 4: varies bar 3: its rhythm with other notes",
    ):
        assert f'title="{title}"' in strip
    assert 'class="same" data-source="1" title="piano, bar 4: repeats bar 2"' in strip
    assert strip.count("data-source") == 5


@pytest.mark.parametrize(("num_bars", "per_row"), [(2, 2), (6, 6)])
def test_the_strip_is_as_long_as_the_song(num_bars, per_row):
    assert len(cells(form_strip(FORM, num_bars))) == 3 * per_row


def test_a_song_without_a_form_has_no_strip(song):
    assert form_strip(None, 4) == form_names(None, 4) == form_legend(None) == form_strip(FORM, 0)
    page = render_gallery([GallerySong("a", song, None, {}, b"")], "t", "s", [], max_seconds=0.1)
    assert 'class="form"' not in page
    assert 'class="legend"' not in page


def test_the_page_has_strip_names_and_legend(song):
    item = GallerySong("a", song, None, {}, b"", form=FORM)
    page = render_gallery([item], "t", "s", [], max_seconds=0.1)
    assert page.count(form_strip(FORM, song.num_bars)) == 1
    assert page.count(form_names(FORM, song.num_bars)) == 1
    for words in ("something new", "repeats an earlier bar", "varies an earlier bar", "silent"):
        assert f"{words}</span>" in page
