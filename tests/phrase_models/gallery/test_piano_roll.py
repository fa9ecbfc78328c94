import dataclasses

import pytest

from phrase_models.gallery.piano_roll import (
    OTHER_SECTION_COLOUR,
    UNSUNG_COLOURS,
    given_colour,
    roll_data,
    section_colour,
    shown_sections,
    track_colour,
    track_name,
)
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Note, Section, Song, Track


def test_roll_data_holds_every_note_and_paints_the_melody_last(song):
    data = roll_data(song, song.sections, 12.5)
    assert [track["program"] for track in data["tracks"]] == [BRIDGE, PIANO, MELODY]
    melody = next(track for track in song.tracks if track.program == MELODY)
    flat = data["tracks"][-1]["notes"]
    assert len(flat) == 4 * len(melody.notes)
    first = melody.notes[0]
    assert flat[:4] == [first.onset, first.pitch, first.duration, first.velocity]
    assert data["sections"][1] == [2, 4, section_colour("A")]
    assert (data["numBars"], data["stepsPerBar"], data["audioSeconds"]) == (16, 48, 12.5)
    assert data["secondsPerStep"] == pytest.approx(60 / 92 / 12)


def test_colours_of_labels_and_tracks():
    assert section_colour("A") != section_colour("B")
    assert section_colour("A") == section_colour("I")  # eight colours, then again
    assert section_colour("i") == UNSUNG_COLOURS["i"]
    assert section_colour("é") == OTHER_SECTION_COLOUR
    assert len({track_colour(program) for program in (MELODY, BRIDGE, PIANO, 40)}) == 4
    assert (track_name(MELODY), track_name(40)) == ("Melody", "Program 40")


def test_sections_of_the_song_come_before_the_requested_ones(song):
    assert shown_sections(song, "i8 A8") == song.sections
    bare = dataclasses.replace(song, sections=())
    assert shown_sections(bare, "i8 A8") == (Section("i", 0, 8), Section("A", 8, 8))
    assert shown_sections(bare, None) == ()
    assert shown_sections(bare, "nonsense 4 4") == ()


def test_sections_end_with_the_song():
    song = Song("x", 10, (Track(PIANO, (Note(0, 60, 1),)),))
    assert shown_sections(song, "A8 B8 o4") == (Section("A", 0, 8), Section("B", 8, 2))


def test_given_notes_are_a_paler_track_of_their_own():
    notes = Note(0, 60, 12), Note(12, 62, 12)
    song = Song("x", 1, (Track(MELODY, notes), Track(PIANO, (Note(0, 48, 48),))))
    given = dataclasses.replace(song, tracks=(Track(MELODY, notes[:1]),))
    tracks = roll_data(song, (), 1.0, given)["tracks"]
    assert [(part["program"], part["kind"], part["notes"]) for part in tracks] == [
        (PIANO, "given", []),
        (PIANO, "generated", [0, 48, 48, 96]),
        (MELODY, "given", [0, 60, 12, 96]),
        (MELODY, "generated", [12, 62, 12, 96]),
    ]
    colours = {part["colour"] for part in tracks}
    assert colours == {
        *(track_colour(program) for program in (MELODY, PIANO)),
        *(given_colour(program) for program in (MELODY, PIANO)),
    }
    assert given_colour(MELODY) == "#d28389"  # half way from #f0525f to #b4b4b4
    assert all("kind" not in part for part in roll_data(song, (), 1.0)["tracks"])
