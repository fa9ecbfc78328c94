from phrase_models.metrics.melodic_lines import (
    line_of_tokens,
    melodic_lines,
    outer_line,
    skyline,
)
from phrase_models.metrics.memorisation import melody_tokens
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track

# A long high note over moving lower ones, then a chord, then a low note alone.
NOTES = (
    Note(0, 72, 36),
    Note(12, 60, 12),
    Note(24, 64, 12),
    Note(36, 67, 12),
    Note(36, 71, 12),
    Note(60, 48, 12),
)


def values(line):
    return list(zip(line.onsets.tolist(), line.pitches.tolist(), strict=True))


def test_outer_lines_take_one_note_at_each_onset():
    assert values(outer_line("x", NOTES)) == [(0, 72), (12, 60), (24, 64), (36, 71), (60, 48)]
    lowest = values(outer_line("x", NOTES, highest=False))
    assert lowest == [(0, 72), (12, 60), (24, 64), (36, 67), (60, 48)]


def test_the_skyline_leaves_out_what_moves_under_a_sounding_note():
    assert values(skyline("x", NOTES)) == [(0, 72), (36, 71), (60, 48)]


def test_a_higher_note_takes_over_the_skyline():
    notes = (Note(0, 60, 48), Note(12, 72, 6), Note(24, 64, 12))
    assert values(skyline("x", notes)) == [(0, 60), (12, 72), (24, 64)]


def test_lines_of_tracks():
    assert [line.name for line in melodic_lines(Track(MELODY, NOTES))] == ["Melody"]
    names = ["Piano, highest notes", "Piano, skyline", "Piano, lowest notes"]
    assert [line.name for line in melodic_lines(Track(PIANO, NOTES))] == names
    # Nothing moves under a sounding note here.
    names = ["Piano, highest notes", "Piano, lowest notes"]
    assert [line.name for line in melodic_lines(Track(PIANO, NOTES[3:]))] == names
    assert melodic_lines(Track(PIANO, ())) == []


def test_tokens_give_the_line_of_the_track():
    song = Song("x", 3, (Track(MELODY, (*NOTES, Note(100, 50, 3), Note(100, 55, 3))),))
    line = line_of_tokens("x", melody_tokens(song))
    assert values(line) == [*values(outer_line("x", NOTES)), (100, 55)]
