"""Roles of tracks, one kind of evidence at a time."""

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.score.midi_file import MidiFile, MidiTrack
from phrase_models.score.song import BRIDGE, MELODY, PIANO
from phrase_models.score.track_roles import (
    RoleChoice,
    assign_roles,
    chosen_tracks,
    parse_role_choices,
)

BEAT = 480


def line(pitch: int, num_notes: int = 8, start: int = 0) -> list[tuple[int, int, int]]:
    """Single notes, a beat each."""
    return [(start + BEAT * n, start + BEAT * (n + 1), pitch + n % 3) for n in range(num_notes)]


def chords(pitch: int) -> list[tuple[int, int, int]]:
    """Triads of a beat each."""
    return [(start, end, low + third) for start, end, low in line(pitch) for third in (0, 4, 7)]


def midi(*tracks: tuple[str, int | None, list[tuple[int, int, int]]], drums: int = 0) -> MidiFile:
    """Tracks of (name, program, notes); the last `drums` of them are on channel 10."""
    return MidiFile(
        BEAT,
        tuple(
            MidiTrack(
                number,
                name,
                9 if number > len(tracks) - drums else number - 1,
                program or 0,
                program is not None,
                np.array([(*note, 90) for note in notes], np.int64),
            )
            for number, (name, program, notes) in enumerate(tracks, start=1)
        ),
    )


def roles(file: MidiFile, *choices: str) -> list[int | None]:
    return [item.program for item in assign_roles(file, parse_role_choices(choices)).values()]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("PIANO", " melody ", "Bridge"), [PIANO, MELODY, BRIDGE]),
        (("ピアノ", "メロディ", "ブリッジ"), [PIANO, MELODY, BRIDGE]),
        (("钢琴", "主旋律", "other"), [PIANO, MELODY, BRIDGE]),
        (("Acoustic Grand Piano", "Melody (Vocal)", "x"), [PIANO, MELODY, BRIDGE]),
        (("Lead Guitar", "Vocals", "x"), [PIANO, MELODY, BRIDGE]),  # a voice is surer than a lead
        (("Backing Vocals", "Lead", "Piano"), [BRIDGE, MELODY, PIANO]),
        (("Piano RH", "Piano LH", "x"), [PIANO, PIANO, MELODY]),
    ],
)
def test_names_tell_roles(names, expected):
    file = midi(*((name, 48, line(pitch)) for name, pitch in zip(names, (60, 72, 64), strict=True)))
    assert roles(file) == expected


def test_a_name_goes_before_a_program_and_a_program_before_sound():
    file = midi(("Piano", 13, chords(60)), ("", 0, line(72)), ("", 25, line(80)))
    assert roles(file) == [PIANO, MELODY, BRIDGE]  # program 0 is held by a name, so 72 sounds
    assigned = assign_roles(file)
    reasons = [assigned[number].reason for number in (1, 2, 3)]
    assert reasons == ["by its name", "by register, polyphony and coverage", "by program 25"]


def test_programs_tell_roles_where_the_file_chose_them():
    parts = line(60), line(62), line(64)
    own_output = midi(*zip(("Inst 1", "Inst 2", "Inst 3"), (73, 25, 0), parts, strict=True))
    assert roles(own_output) == [MELODY, BRIDGE, PIANO]
    marked = midi(("a", 73, parts[0]), ("b", 13, parts[1]), ("c", 4, parts[2]))
    assert roles(marked) == [BRIDGE, MELODY, PIANO]  # 13 is surer than 73, any piano a piano
    silent = midi(("a", None, parts[0]), ("b", None, line(80)))
    assert roles(silent) == [BRIDGE, MELODY]  # nobody chose program 0


def test_channel_10_is_never_a_role():
    assert roles(midi(("Piano", 0, line(60)), ("Melody", 13, line(40)), drums=1)) == [PIANO, None]
    assert roles(midi(("Melody", 13, line(40)), drums=1)) == [None]


def test_a_name_that_all_tracks_share_is_the_title_of_the_file():
    file = midi(("Piano", 73, line(72)), ("Piano", 33, line(30)), ("Piano", 0, line(40)), drums=1)
    assert roles(file) == [MELODY, PIANO, None]


def test_sound_tells_the_rest_and_no_track_is_left_out_while_a_role_is_free():
    band = [("a", 30, line(70)), ("b", 33, line(36)), ("c", 48, chords(55)), ("d", 61, line(62))]
    assert roles(midi(*band)) == [MELODY, None, PIANO, BRIDGE]
    assert roles(midi(*band[:3])) == [MELODY, BRIDGE, PIANO]
    assert roles(midi(band[1])) == [PIANO]
    assert roles(midi(band[0])) == [MELODY]
    assert roles(midi(band[2])) == [PIANO]
    seldom = ("e", 80, line(84, num_notes=1))
    steady = ("f", 80, line(70, num_notes=32))
    assert roles(midi(seldom, steady)) == [BRIDGE, MELODY]
    effect = ("g", 119, line(90))
    assert roles(midi(effect, steady, band[2], band[3])) == [None, MELODY, PIANO, BRIDGE]


def test_what_the_user_chose_goes_before_all():
    file = midi(("Melody", 13, line(72)), ("Bass", 33, line(36)), ("Piano", 0, line(60)))
    assert roles(file, "Bass=melody") == [BRIDGE, MELODY, PIANO]
    assert roles(file, "Bass=piano", "Piano=piano") == [MELODY, PIANO, PIANO]
    assert roles(file, "2=none") == [MELODY, None, PIANO]
    assert roles(file, "track 2=Bridge", "1=NONE") == [None, BRIDGE, PIANO]
    assert assign_roles(file, parse_role_choices(["2=none"]))[2].reason == "as you chose"


def test_a_number_and_a_name():
    file = midi(("Track 2", 0, line(60)), ("x=y", 0, line(62)), ("7", 0, line(64)))
    found = {
        text: chosen_tracks(RoleChoice(text, MELODY), file)
        for text in ("Track 2", "2", "track 3", "x=y", "7", "X=Y", "Track 9", "")
    }
    assert found == {
        "Track 2": [1], "2": [2], "track 3": [3], "x=y": [2], "7": [], "X=Y": [2], "Track 9": [],
        "": [],
    }  # fmt: skip
    assert parse_role_choices(["x=y=piano"]) == (RoleChoice("x=y", PIANO),)


@pytest.mark.parametrize("text", ["", "melody", "=melody", "3=", "3=flute", "3:melody", " =piano"])
def test_what_is_no_choice(text):
    with pytest.raises(ConfigurationError, match="is not of the form TRACK=ROLE"):
        parse_role_choices([text])


def test_programs_of_our_own_tracks_are_kept_where_that_is_asked_for():
    file = midi(("Piano", 0, line(60)), ("Program 40", 40, line(70)), ("Program 13", 13, line(50)))
    assert roles(file) == [PIANO, BRIDGE, MELODY]
    kept = assign_roles(file, keep_programs=True)
    assert [item.program for item in kept.values()] == [PIANO, 40, MELODY]
