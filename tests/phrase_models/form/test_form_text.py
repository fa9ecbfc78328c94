import numpy as np

from phrase_models.form.form_text import format_form, layout_of_headings
from phrase_models.form.song_form import NO_SOURCE, SongForm
from phrase_models.score.song import Section


def test_headings_that_follow_on_each_other_are_the_layout():
    form = SongForm(np.ones((12, 3), np.int8), np.full((12, 3), NO_SOURCE))
    sections = (Section("i", 0, 4), Section("A", 4, 8))
    text = format_form(form, sections)
    assert layout_of_headings(text) == "i4 A8"
    assert layout_of_headings(format_form(form)) is None
    assert layout_of_headings(text.replace("# i4, bars 1 to 4", "# i5, bars 1 to 4")) is None
