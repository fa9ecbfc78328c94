"""What form and texture say of each other."""

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_text import parse_form
from phrase_models.form.texture_and_form import (
    check_texture_of_form,
    complete_texture,
    fit_to_texture,
)
from phrase_models.form.texture_text import parse_texture, texture_text

FORM = parse_form("melody * =1 ~2 . =2\nbridge . . . . .\npiano * * =1 ^2 =3")
TEXTURE = parse_texture("865eg . 13aac | 865eg . 24aac | 866eg . 13aac | . . 26abc | 865eg . 13aac")


def with_cell(bar, slot, cell):
    texture = TEXTURE.copy()
    texture[bar - 1, slot] = parse_texture(cell)[0, 0]
    return texture


def test_a_texture_of_the_same_notes_is_accepted_and_left_as_it_is():
    check_texture_of_form(TEXTURE, FORM)
    assert np.array_equal(complete_texture(TEXTURE, FORM), TEXTURE)
    assert fit_to_texture(FORM, TEXTURE) == FORM


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ((4, 0, "865eg"), "Bar 4 of the melody is silent in the form but has a texture"),
        ((4, 0, "??5??"), "Bar 4 of the melody is silent in the form but has a texture"),
        ((1, 2, "."), "Bar 1 of the piano plays in the form but is without notes in the texture"),
        ((5, 0, "765eg"), "Bar 5 of the melody repeats bar 2 in the form but has another texture"),
        ((5, 2, "?4???"), "Bar 5 of the piano repeats bar 3 in the form but has another texture"),
    ],
)
def test_contradictions_are_one_sentence(cell, words):
    with pytest.raises(ConfigurationError) as error:
        check_texture_of_form(with_cell(*cell), FORM)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


def test_what_varies_may_have_another_texture_and_what_is_open_contradicts_nothing():
    for cell in ((3, 0, "111ee"), (4, 2, "cddzz"), (5, 0, "?"), (4, 0, "?"), (1, 2, "?")):
        check_texture_of_form(with_cell(*cell), FORM)


def test_a_form_of_other_slots_is_refused():
    with pytest.raises(ConfigurationError, match="has 5 x 2 cells, but the form 5 x 3"):
        check_texture_of_form(TEXTURE[:, :2], FORM)


def test_the_form_says_what_silent_and_repeated_cells_leave_open():
    text = "865eg ? ????? | ?65eg . 24aac | 866eg ? 13aac | ? . ????? | ? . ?????"
    assert texture_text(complete_texture(parse_texture(text), FORM)) == (
        "865eg . ????? | 865eg . 24aac | 866eg . 13aac | . . ????? | 865eg . ?????"
    )


def test_a_lent_form_is_fitted_to_a_texture():
    lent = parse_form("melody * =1 =2 ~1 ^1 =4\nbridge . . * =3 =4 ~3\npiano * =1 =2 =3 * =5")
    texture = parse_texture(
        "865eg 13aac 11111 | 865eg . 22222 | ?65eg . 22222 | 866eg ? 11111 | 7???? ? ? | ? 1???? ."
    )
    fitted = fit_to_texture(lent, texture)
    # Melody: another number of onsets is no variation in rhythm. Bridge: plays in bar 1; as bar 3
    # is silent, bar 4 has nothing to repeat. Piano: bar 2 is new, and bar 4 as bar 1 no longer
    # comes back; bar 6 is silent.
    assert fitted == parse_form("melody * =1 =2 ~1 * =4\nbridge * . . * =4 *\npiano * * =2 * * .")
    check_texture_of_form(texture, fitted)
    assert fit_to_texture(fitted, texture) == fitted
