"""How full, held and high a cell is."""

import numpy as np
import pytest

from phrase_models.diffusion.plan import SongPlan, check_plan, check_vocabulary
from phrase_models.errors import ConfigurationError
from phrase_models.form.form_text import parse_form
from phrase_models.form.texture import (
    NO_TEXTURE,
    NUM_TEXTURE_VALUES,
    TEXTURE_ATTRIBUTES,
    texture_of_slots,
)
from phrase_models.tokens import vocabulary

EMPTY = [vocabulary.EMPTY_SLOT]


def phrase(*notes: tuple[int, int, int]) -> list[int]:
    """Tokens of notes (onset, pitch, duration), in order."""
    tokens, last = [vocabulary.program_id(0)], None
    for onset, pitch, duration in notes:
        tokens += [] if onset == last else [vocabulary.onset_id(onset)]
        tokens += [vocabulary.pitch_id(pitch), vocabulary.duration_id(duration)]
        last = onset
    return tokens


def test_a_held_chord_and_a_run_of_eighths():
    chord = phrase((0, 48, 48), (0, 52, 48), (0, 55, 48))
    run = phrase(*((6 * place, 60 + place, 6) for place in range(8)))
    texture = texture_of_slots([[run, EMPTY, chord]])
    assert texture.dtype == np.int8
    assert texture.shape == (1, 3, len(TEXTURE_ATTRIBUTES))
    # 8 onsets, 8 notes (over 6, up to 8), one sounding; 60 and 67 are 13 and 15 steps above 21
    assert texture[0, 0].tolist() == [8, 6, 5, 14, 16]
    assert texture[0, 1].tolist() == [NO_TEXTURE] * 5
    # one onset, three notes, three sounding; 48 and 55 are 9 and 11 steps above 21
    assert texture[0, 2].tolist() == [1, 3, 10, 10, 12]


def test_the_fullest_and_the_outermost_phrases_have_numbers_that_there_are():
    full = phrase(*((onset, pitch, 127) for onset in range(48) for pitch in (0, 127)))
    thin = phrase((47, 0, 1))
    texture = texture_of_slots([[full, thin, EMPTY]])
    assert texture[0, 0].tolist() == [12, 13, 13, 1, 35]
    assert texture[0, 1].tolist() == [1, 1, 1, 1, 1]
    assert texture.max() == NUM_TEXTURE_VALUES - 1


def test_the_texture_does_not_know_the_order_of_notes_nor_where_they_begin():
    early, late = phrase((0, 60, 6), (6, 64, 6)), phrase((12, 64, 6), (30, 60, 6))
    texture = texture_of_slots([[early, late, EMPTY]])
    assert texture[0, 0].tolist() == texture[0, 1].tolist()


@pytest.mark.parametrize(
    ("texture", "words"),
    [
        (np.zeros((4, 2, 5)), "has 4 x 2 x 5 numbers .*, but the songs need 4 x 3 x 5"),
        (np.full((4, 3, 5), NUM_TEXTURE_VALUES), f"-1 .left open. to {NUM_TEXTURE_VALUES - 1}"),
        (np.full((4, 3, 5), -2), "numbers from -2 to -2"),
    ],
    ids=["slots", "too high", "too low"],
)
def test_a_texture_of_other_songs_is_refused(texture, words):
    with pytest.raises(ConfigurationError, match=words):
        check_vocabulary(SongPlan(4, texture=texture), 3, 0)


def test_a_texture_of_another_length_is_refused():
    with pytest.raises(ConfigurationError, match="a texture of 5 bars but the song has 4"):
        check_plan(SongPlan(4, texture=np.zeros((5, 3, 5))), 16)


def test_a_texture_alone_gives_the_length():
    texture = np.ones((5, 3, 5))
    assert check_plan(SongPlan(texture=texture), 16).num_bars == 5
    with pytest.raises(ConfigurationError, match="at most 4"):
        check_plan(SongPlan(texture=texture), 4)
    for other in ({"chords": np.ones((4, 2))}, {"form": parse_form(
        "melody * * * *\nbridge * * * *\npiano * * * *"
    )}):  # fmt: skip
        with pytest.raises(ConfigurationError, match="a texture of 5 bars but the song has 4"):
            check_plan(SongPlan(texture=texture, **other), 16)
