"""Textures as text: read back exactly, edited by hand, refused in a sentence."""

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_text import layout_of_headings
from phrase_models.form.texture_text import (
    format_texture,
    parse_texture,
    texture_legend,
    texture_text,
)
from phrase_models.score.song import parse_section_layout

TEXTURE = np.array(
    [
        [[8, 6, 5, 14, 16], [0, 0, 0, 0, 0], [1, 3, 10, 10, 12]],
        [[-1] * 5, [12, 13, 13, 35, 35], [0, -1, 0, 0, 0]],
    ]
)


def test_a_texture_is_read_back_from_its_text():
    text = texture_text(TEXTURE)
    assert text == "865eg . 13aac | ????? cddzz 0?000"
    assert np.array_equal(parse_texture(text), TEXTURE)


def test_a_line_a_bar_under_the_headings_of_the_sections_is_read_back():
    text = format_texture(TEXTURE, parse_section_layout("i1 A1"))
    assert text.splitlines() == [
        "# i1, bars 1 to 1",
        "# melody  bridge  piano",
        "  865eg   .       13aac   # 1",
        "",
        "# A1, bars 2 to 2",
        "# melody  bridge  piano",
        "  ?????   cddzz   0?000   # 2",
    ]
    assert np.array_equal(parse_texture(text), TEXTURE)
    assert layout_of_headings(text) == "i1 A1"


def test_comments_empty_lines_and_bar_lines_do_not_matter():
    text = "# any\n\n| 865eg . 13aac |  # and | more\n \n\t? cddzz  0?000\n"
    assert np.array_equal(parse_texture(text), TEXTURE)


def test_the_legend_says_what_the_digits_are():
    legend = "\n".join(texture_legend())
    # intervals of `EDGES`: 9 is 9 or 10 onsets; 1 + (60 - 21) // 3 = 14, the digit e
    for words in ("8=8 9=10 a=12 b=16 c=more", "1=0.15 2=0.3", "2=C1 6=C2 a=C3 e=C4", "u=C8;"):
        assert words in legend


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("865eg . 13aac | 865e . .", "Line 1 of the texture, bar 2: '865e' is no cell; write 5"),
        ("# a\n. . .\n\n865eG . .", "Line 4 of the texture, bar 2: '865eG' is no cell"),
        ("melody . .", "Line 1 of the texture, bar 1: 'melody' is no cell"),
        (". . . | . .", "bar 2: there are 2 cells, but 3 in bar 1"),
        (". . . | | . . .", "bar 2: there are 0 cells, but 3 in bar 1"),
        ("", "The texture holds no bar"),
        ("# only words\n|", "The texture holds no bar"),
        ("865e0 . .", "'865e0' cannot be: 0 is of a cell without notes"),
        ("dd5eg . .", "cannot be: digit 1 goes from 1 to c"),
        ("8e5eg . .", "cannot be: digit 2 goes from 1 to d"),
        ("86eeg . .", "cannot be: digit 3 goes from 1 to d"),
        ("b95eg . .", None),  # 13 to 16 places, 13 to 15 notes
        ("b85eg . .", "begin at 13 places or more, but there are 12 notes at most"),
        ("b?5eg . .", None),
        ("cd5ee . .", None),
        ("865ge . .", "the lowest pitch is above the highest"),
        ("865g? . .", None),
    ],
)
def test_a_text_that_is_no_texture_is_refused(text, words):
    if words is None:
        assert parse_texture(text).shape == (1, 3, 5)
        return
    with pytest.raises(ConfigurationError) as error:
        parse_texture(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
