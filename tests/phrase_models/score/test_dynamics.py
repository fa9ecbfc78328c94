"""Velocities by part, pitch and fullness of the bar."""

from dataclasses import replace

from phrase_models.score.dynamics import with_dynamics
from phrase_models.score.song import BRIDGE, MELODY, PIANO, STEPS_PER_BAR, Note, Song, Track


def song_of(*tracks: Track) -> Song:
    return Song("x", 2, tracks)


def velocities(track: Track, given: Song | None = None) -> list[int]:
    return [note.velocity for note in with_dynamics(song_of(track), given).tracks[0].notes]


def test_a_single_note_is_as_loud_as_its_part():
    """Means of POP909."""
    alone = [velocities(Track(part, (Note(0, 60, 12),))) for part in (MELODY, BRIDGE, PIANO)]
    assert alone == [[96], [90], [82]]


def test_higher_notes_of_a_melody_are_louder():
    """.66 a semitone around the mean pitch, at most 20 away."""
    octave = Track(MELODY, (Note(0, 60, 12), Note(12, 72, 12)))
    assert velocities(octave) == [92, 100]
    far = Track(MELODY, (Note(0, 0, 12), Note(12, 127, 12)))
    assert velocities(far) == [76, 116]


def test_full_bars_of_a_piano_are_louder():
    """6.6 for twice as many notes: log2 is 0 in the first bar, 2 in the second, 1.6 in the mean."""
    second = tuple(Note(STEPS_PER_BAR + 12 * beat, 60, 12) for beat in range(4))
    assert velocities(Track(PIANO, (Note(0, 60, 12), *second))) == [71, 85, 85, 85, 85]


def test_given_notes_keep_theirs_and_set_the_level():
    """A melody played 56 softly makes all new notes 40 softer."""
    melody = Track(MELODY, (Note(0, 60, 12, 56),))
    whole = song_of(melody, Track(PIANO, (Note(0, 48, 12),)))
    played = with_dynamics(whole, given=song_of(melody))
    assert played.tracks[0] == melody
    assert [note.velocity for note in played.tracks[1].notes] == [42]


def test_velocities_stay_within_midi():
    """However loud the given notes are."""
    given = song_of(Track(PIANO, (Note(0, 60, 12, 127),)))
    assert velocities(Track(MELODY, (Note(0, 60, 12),)), given) == [127]


def test_nothing_else_changes_and_other_programs_keep_theirs():
    """Notes, order, sections; a drum's velocity."""
    song = song_of(Track(PIANO, (Note(0, 48, 9), Note(3, 50, 6))), Track(118, (Note(0, 40, 3, 7),)))
    played = with_dynamics(song)
    flat = [
        replace(t, notes=tuple(replace(n, velocity=96) for n in t.notes)) for t in played.tracks[:1]
    ]
    assert replace(played, tracks=(flat[0], song.tracks[1])) == song
    assert played.tracks[1] == song.tracks[1]
    assert with_dynamics(played) == played
