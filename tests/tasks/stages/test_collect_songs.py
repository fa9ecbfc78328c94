"""The dataset of PhraseLDM: form and chords of every song, taken from tables."""

import numpy as np
import pytest

from phrase_models.form.bar_lines import BarLines
from phrase_models.form.song_form import NO_SOURCE, CellState
from phrase_models.score.song import Section
from phrase_models.tokens import vocabulary
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars, text_to_song
from phrase_models.tokens.song_tokens import encode_song
from storage import tables
from tasks.stages.collect_songs import bar_lines, phrases_of_songs, role_slots, song_plans
from tasks.stages.rows import chords_of
from tasks.stages.tokenise_songs import phrase_rows

TEXT = " ".join(
    [
        "i-13 o-0 p-60 d-12 i-0 o-0 p-48 d-48 b-1",
        "i-0 o-0 p-48 d-48 b-1",
        "b-1",
        "i-13 o-0 p-60 d-24 i-0 o-0 p-48 d-48 b-1",
    ]
)
SECTIONS = (Section("A", 0, 2), Section("A", 2, 2))


@pytest.fixture
def write_tables(tmp_path):
    def write(chords):
        song = text_to_song(TEXT, "one")
        tables.write_phrases(
            tmp_path / "phrases.parquet", phrase_rows(song, encode_song(song), "train")
        )
        tables.write_chords(
            tmp_path / "chords.parquet",
            [
                {"song_id": "one", "split": "train", "bar_index": bar}
                | {"first": first, "second": second}
                for bar, (first, second) in enumerate(chords)
            ],
        )
        return tmp_path, {"song_id": "one", "num_bars": 4, "section_layout": "A2 A2"}

    return write


def test_form_and_chords_come_from_the_tables(write_tables):
    folder, row = write_tables([(1, 1), (3, 5), (0, 0)])  # the fourth bar has none
    (plan,) = song_plans([row], phrases_of_songs(folder), chords_of(folder))
    silent, new, exact = CellState.SILENT, CellState.NEW, CellState.REPEATS
    assert plan.sections == SECTIONS
    assert plan.form.states.tolist() == [
        [new, silent, new],
        [silent, silent, exact],
        [silent, silent, silent],
        [CellState.VARIES_NOTES, silent, exact],
    ]
    assert plan.form.sources[:, 2].tolist() == [NO_SOURCE, 0, NO_SOURCE, 1]
    assert plan.chords.tolist() == [[1, 1], [3, 5], [0, 0], [0, 0]]


def test_slots_of_tables_are_those_of_the_song():
    song = text_to_song(TEXT)
    bars = song_to_bars(song)
    found = phrase_rows(song, encode_song(song), "train")
    rows = [(row["bar_index"], row["program"], row["token_ids"]) for row in found]
    assert role_slots(rows, 4) == bars_to_slots(bars, "role")
    assert role_slots([], 1) == [[[vocabulary.EMPTY_SLOT]] * 3]


def test_lines_are_those_of_the_training_songs_alone(write_tables):
    folder, row = write_tables([])
    phrases = phrases_of_songs(folder)
    rows = [row | {"split": "train"}, row | {"song_id": "other", "split": "validation"}]
    found = bar_lines(rows, phrases | {"other": []})
    slots = role_slots(phrases["one"], row["num_bars"])
    expected = BarLines.of_songs([slots], [True, True, False])
    assert np.array_equal(found.log_odds, expected.log_odds)
    none = bar_lines(rows[1:], phrases)
    assert np.array_equal(none.log_odds, np.zeros((3, 27)))


def test_songs_without_chords_and_layouts_without_roles_have_none(write_tables):
    folder, row = write_tables([])
    (plan,) = song_plans([row], None, chords_of(folder))
    assert (plan.form, plan.chords, plan.num_bars) == (None, None, 4)
