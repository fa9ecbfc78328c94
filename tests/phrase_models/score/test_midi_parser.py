"""What players read is read; the oracle for files that are right is miditoolkit."""

from collections import Counter
from pathlib import Path

import miditoolkit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrase_models.errors import BadMidiError
from phrase_models.score import midi_walk
from phrase_models.score.midi_file import MidiFile
from phrase_models.score.midi_parser import MAX_BYTES, parse_midi, parse_midi_bytes
from phrase_models.score.midi_text import decode_text
from tests.phrase_models.score.midi_bytes import NOTE, chunk, header, meta, midi

ONE_NOTE = [[0, 96, 60, 64]]


def notes_of(file: MidiFile) -> list[list[list[int]]]:
    return [track.notes.tolist() for track in file.tracks]


# --------------------------------------------------------------------------- the oracle
def counted(rows) -> Counter:
    return Counter(tuple(int(value) for value in row) for row in rows)


def check_against_miditoolkit(path: Path) -> None:
    expected = miditoolkit.MidiFile(str(path))
    file = parse_midi(path)
    assert counted(
        (note.start, note.end, note.pitch, note.velocity, instrument.is_drum)
        for instrument in expected.instruments
        for note in instrument.notes
    ) == counted((*row, track.is_drum) for track in file.tracks for row in track.notes.tolist())
    assert file.ticks_per_beat == expected.ticks_per_beat
    assert file.last_tick == expected.max_tick - 1
    assert file.mended == ()
    assert list(file.meters) == [
        (item.time, item.numerator, item.denominator) for item in expected.time_signature_changes
    ]
    assert list(file.keys) == [
        (item.time, item.key_name) for item in expected.key_signature_changes
    ]
    assert dict(file.tempos) == pytest.approx(
        {item.time: item.tempo for item in expected.tempo_changes}
    )


def test_every_note_of_real_files_is_that_of_miditoolkit(pop909_root):
    songs = sorted((pop909_root / "POP909-Dataset" / "POP909").glob("*/*.mid"))[::60]
    for path in [pop909_root / "golden" / "083.mid", *songs]:
        check_against_miditoolkit(path)


@st.composite
def event_lists(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """(delta, status, first, second) over two channels and three pitches, so that they meet."""
    event = st.tuples(
        st.sampled_from((0, 0, 1, 127, 128, 16383, 16384, 2097152)),
        st.sampled_from((0x80, 0x90, 0x91, 0x81, 0xB0, 0xC0, 0xD1, 0xE0)),
        st.integers(60, 62),
        st.sampled_from((0, 0, 1, 64, 127)),
    )
    return draw(st.lists(event, max_size=40))


def delta_bytes(delta: int) -> bytes:
    septets = [delta & 0x7F]
    while delta := delta >> 7:
        septets.insert(0, delta & 0x7F | 0x80)
    return bytes(septets)


def test_any_order_of_events_is_read_as_miditoolkit_reads_it(tmp_path):
    @given(event_lists(), st.booleans())
    @settings(max_examples=150, deadline=None)
    def check(events, running):
        body, newest = b"", -1
        for delta, status, first, second in events:
            body += delta_bytes(delta)
            body += b"" if running and status == newest else bytes((status,))
            body += bytes((first,) if 0xC0 <= status < 0xE0 else (first, second))
            newest = status
        path = tmp_path / "x.mid"
        path.write_bytes(midi(chunk(body)))
        expected = miditoolkit.MidiFile(str(path))
        ours = parse_midi(path)
        found = counted(
            (track.channel == 9, *row) for track in ours.tracks for row in track.notes.tolist()
        )
        finished = counted(
            (item.is_drum, note.start, note.end, note.pitch, note.velocity)
            for item in expected.instruments
            for note in item.notes
        )
        # Notes that never end are ours alone: miditoolkit drops them.
        never = found - finished
        assert found - never == finished
        assert all(end == ours.last_tick for _, _, end, _, _ in never)
        said = sum(int(text.rsplit(" ", 1)[1][:-1]) for text in ours.mended)
        assert said == never.total()

    check()


# --------------------------------------------------------------------------- what is mended
def test_running_status_goes_on_across_metas_and_velocity_0_ends_a_note():
    events = b"\0\x90\x3c\x40" + meta(0x01, b"a") + b"\x30\x3e\x40" + b"\x30\x3c\0" + b"\0\x3e\0"
    file = parse_midi_bytes(midi(chunk(events)))
    assert notes_of(file) == [[[0, 96, 60, 64], [48, 96, 62, 64]]]
    assert file.mended == ()


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        (meta(0x59, b"\xee\0"), "A key signature of 18 flats at tick 0 does not exist"),
        (meta(0x59, b"\x09\0"), "A key signature of 9 sharps at tick 0 does not exist"),
        (meta(0x59, b""), "A key signature of no bytes at tick 0 does not exist"),
        (meta(0x59, b"\0\x07"), "A key signature of the bytes 00 07 at tick 0 does not exist"),
        (meta(0x51, b"\0\0\0"), "A tempo of the bytes 00 00 00 at tick 0 does not exist"),
        (meta(0x51, b"\x07"), "A tempo of the bytes 07 at tick 0 does not exist"),
        (meta(0x58, b"\x04"), "A meter of the bytes 04 at tick 0 does not exist"),
        (meta(0x58, b"\x04\xff\x18\x08"), "A meter of the bytes 04 ff 18 08 at tick 0 does not"),
        (meta(0x58, b"\0\2\x18\x08") * 3, "and 2 more times does not exist and was left out."),
        (b"\0\xb0\x07\xff", "Data bytes over 127 were taken as 127: 1, the first at byte 25."),
    ],
)
def test_what_makes_no_sense_is_left_out_and_said(events, sentence):
    file = parse_midi_bytes(midi(chunk(events, NOTE)))
    assert notes_of(file) == [ONE_NOTE]
    assert (file.keys, file.tempos, file.meters) == ((), (), ())
    assert len(file.mended) == 1
    assert sentence in file.mended[0]


@pytest.mark.parametrize(
    "events",
    [
        meta(0x54, b"\x60\x63"),  # SMPTE offset of another length and value
        meta(0x58, b"\4\2\x18\x08\0\0\0"),  # over-long meter
        meta(0x51, b"\x07\xa1\x20\0"),
        b"\0\xf0\3\x7e\x09\xf7",  # system exclusive
        b"\0\xf8\0\xf2\1\2\0\xf6",  # system real-time and common
        b"\x80\x80\x80\x80\x80\0\xb0\7\1",  # a delta time with noughts in front
        b"\0\xd0\5\0\6",  # running status of one data byte
        meta(0x7F, bytes(90)),
    ],
)
def test_odd_events_that_players_pass_over(events):
    file = parse_midi_bytes(midi(chunk(events, NOTE)))
    assert notes_of(file) == [ONE_NOTE]
    assert file.mended == ()


def test_notes_that_never_end_end_with_their_track():
    long = chunk(meta(0x03, b"Piano"), b"\0\x90\x3c\x40\x10\x3c\x40\0\x40\x40\x10\x80\x3c\0")
    file = parse_midi_bytes(midi(long, chunk(NOTE)))
    assert notes_of(file)[0] == [[0, 32, 60, 64], [16, 32, 60, 64], [16, 32, 64, 64]]
    assert file.mended == ("Notes that never end, and end with track 1 (Piano): 2.",)


WHOLE = midi(chunk(NOTE), chunk(NOTE.replace(b"\x3c", b"\x40")))
SECOND = [[0, 96, 64, 64]]


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (WHOLE, ()),
        (b"RIFF\0\0\0\0RMIDdata" + len(WHOLE).to_bytes(4, "little") + WHOLE + b"LIST....", ()),
        (bytes(128) + WHOLE, ("128 bytes before the header were passed over.",)),
        (WHOLE + b"\0\1\2", ()),
        (WHOLE + bytes(20), ("20 bytes behind the last track were passed over.",)),
        (header(7) + WHOLE[14:], ("The header says 7 tracks, and there are 2.",)),
        (header(1) + WHOLE[14:], ("The header says 1 tracks, and there are 2.",)),
        (header(2, form=9) + WHOLE[14:], ("Format 9 does not exist; the file was read as",)),
        (WHOLE[:14] + b"XFIH\0\0\0\2ab" + WHOLE[14:], ()),
        (b"MThd\0\0\0\x08" + WHOLE[8:14] + b"ab" + WHOLE[14:], ()),
        (midi(chunk(NOTE, end=b""), chunk(SECOND_NOTE := WHOLE[-12:-4], end=b"")), ()),
        (
            WHOLE[:21] + b"\xf0" + WHOLE[22:],
            ("The length of track chunk 1 is wrong: it says that byte 262 is its end, and it",),
        ),
        (
            WHOLE[:21] + b"\x03" + WHOLE[22:],
            ("The length of track chunk 1 is wrong: it says that byte 25 is its end, and it",),
        ),
        (WHOLE[:21] + b"\x20" + WHOLE[22:], ("The length of track chunk 1 is wrong",)),
    ],
    ids=[
        "whole", "riff", "macbinary", "three bytes of junk", "junk", "too many named",
        "too few named", "format 9", "alien chunk", "longer header", "no end of track",
        "length over the file", "length too short", "length into the next track",
    ],
)  # fmt: skip
def test_wrappings_and_wrong_chunks(data, mended):
    file = parse_midi_bytes(data)
    assert notes_of(file) == [ONE_NOTE, SECOND]
    assert len(file.mended) == len(mended)
    for found, expected in zip(file.mended, mended, strict=True):
        assert found.startswith(expected)


def test_what_comes_before_a_fault_is_kept_and_the_place_is_said():
    cut = parse_midi_bytes(WHOLE[:-6])
    assert notes_of(cut) == [ONE_NOTE, [[0, 0, 64, 64]]]
    assert cut.mended[0] == (
        "Track chunk 2 ends in the middle of an event at byte 46; what comes before was read."
    )
    assert cut.cut_off == cut.mended[:1]
    broken = midi(chunk(NOTE, b"\0\xff\x01\xff\xff\x7f"), chunk(NOTE))
    assert notes_of(parse_midi_bytes(broken)) == [ONE_NOTE, ONE_NOTE]
    assert (
        "Track chunk 1 has an event that says 2097151 bytes where 4 are left at byte 30"
        in (parse_midi_bytes(broken).mended[0])
    )


# --------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html></html>", "is no MIDI file, whatever its name says: it has no header MThd"),
        (WHOLE[:9], "ends within its header, after 9 bytes"),
        (header(0), "has a header but no track in it"),
        (header(1, form=2) + WHOLE[14:], "is of format 2, whose tracks are pieces of their own"),
        (header(1, division=0xE728) + WHOLE[14:], "counts time in frames, not in beats"),
        (header(1, division=0) + WHOLE[14:], "says that a beat has 0 ticks"),
        (midi(chunk(b"\0\x3c\x40")), "track chunk 1 has data without a status at byte 22"),
        (midi(chunk(b"\xff\xff\xff\xff\x7f\x90\x3c\x40")), "has a delta time of 5 bytes, over 4"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(data, reason):
    with pytest.raises(BadMidiError) as caught:
        parse_midi_bytes(data)
    assert reason in str(caught.value)


def test_paths_that_are_no_file(tmp_path):
    (tmp_path / "empty.mid").touch()
    with (tmp_path / "large.mid").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name, reason in {
        "none.mid": "There is no MIDI file",
        ".": "is a folder",
        "empty.mid": "is empty",
        "large.mid": "has more than 4 MiB",
        "nul\0.mid": "cannot be read: embedded null byte",
    }.items():
        with pytest.raises(BadMidiError, match=reason):
            parse_midi(tmp_path / name)


def test_no_number_in_a_file_decides_how_much_is_read():
    rare = chunk(meta(0x06, b"") * (midi_walk.MAX_RARE + 5), NOTE)
    with pytest.raises(BadMidiError, match=r"track chunk 1 goes on after 200000 rare events"):
        parse_midi_bytes(midi(rare))
    many = parse_midi_bytes(midi(*[chunk(NOTE) for _ in range(50)], *[chunk(b"\1")] * 50))
    assert len(many.tracks) == 50
    assert len(many.mended) == 21
    assert many.mended[-1] == "30 more things like these were mended."


# --------------------------------------------------------------------------- names, programs
@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Melody \0\0", "Melody"),
        ("主旋律".encode(), "主旋律"),
        (b"\xff\xfeM\0e\0l\0", "Mel"),
        (b"\xff\xfeM\0e\0l", "Me"),
        ("\ufeffPiano".encode("utf-16-be"), "Piano"),
        ("\ufeffPiano".encode(), "Piano"),
        ("メロディ".encode("shift_jis"), "メロディ"),
        ("歌のメロディ1".encode("shift_jis"), "歌のメロディ1"),
        ("旋律".encode("gbk"), "旋律"),
        ("钢琴 2".encode("gbk"), "钢琴 2"),
        ("ﾒﾛﾃﾞｨ".encode("shift_jis"), "ﾒﾛﾃﾞｨ"),
        ("Mélodie für Flöte".encode("latin-1"), "Mélodie für Flöte"),
        (b"\xff\xff\xff\xfd", "ÿÿÿý"),
    ],
)
def test_names_of_any_encoding(raw, text):
    assert decode_text(raw) == text


def test_a_track_has_the_name_of_its_instrument_where_it_has_none_itself():
    named = chunk(NOTE, meta(0x04, b"Flute"))
    both = chunk(meta(0x04, b"Flute"), meta(0x03, b" "), NOTE, meta(0x03, b"Melody"))
    file = parse_midi_bytes(midi(named, both, chunk(NOTE)))
    assert [track.name for track in file.tracks] == ["Flute", "Melody", ""]


def test_tracks_of_type_0_are_its_channels():
    drum = NOTE.replace(b"\x90", b"\x99").replace(b"\x80", b"\x89")
    events = meta(0x03, b"Title") + b"\0\xc0\x05" + NOTE + drum + meta(0x20, b"\x09")
    file = parse_midi_bytes(header(1, form=0) + chunk(events + meta(0x03, b"Kit")))
    assert [(t.number, t.channel, t.name, t.program, t.has_program) for t in file.tracks] == [
        (1, 0, "Title", 5, True),
        (2, 9, "Kit", 0, False),
    ]
    assert file.tracks[1].notes.tolist() == [[96, 192, 60, 64]]


def test_a_program_is_that_at_the_first_note_of_its_own_track_else_of_any():
    setup = chunk(b"\0\xc0\x07\0\xc1\x08\x60\xc0\x09")
    own = chunk(b"\0\xc0\x0a", NOTE, b"\0\xc0\x0b", NOTE)
    other = chunk(NOTE.replace(b"\x90", b"\x91").replace(b"\x80", b"\x81"))
    late = chunk(b"\x60\xc0\x0c", b"\0\xb0\1\1")
    file = parse_midi_bytes(midi(setup, own, other, chunk(NOTE), late))
    assert [(track.program, track.has_program) for track in file.tracks] == [
        (10, True),
        (8, True),
        (10, True),  # of the second track, whose change comes last at tick 0
    ]


def test_markers_texts_keys_and_tempos_by_tick():
    conductor = chunk(
        meta(0x01, "seed 3 für 歌".encode()),
        meta(0x06, b"A1"),
        meta(0x59, b"\xfe\0"),
        b"\x60" + meta(0x59, b"\xfd\1")[1:],
        meta(0x51, b"\0\0\1"),
        meta(0x01, b"later"),
    )
    file = parse_midi_bytes(midi(conductor, chunk(meta(0x51, b"\xff\xff\xff"))))
    assert file.tracks == ()
    assert file.texts == ("seed 3 für 歌",)
    assert file.markers == ((0, "A1"),)
    assert file.keys == ((0, "Bb"), (96, "Cm"))
    assert [tick for tick, _ in file.tempos] == [0, 96]
    np.testing.assert_allclose([bpm for _, bpm in file.tempos], [60 / 16.777215, 6e7])


def test_hours_of_delta_time_are_read_as_they_are():
    file = parse_midi_bytes(midi(chunk(b"\xff\xff\xff\x7f\x90\x3c\x40\xff\xff\xff\x7f\x3c\0")))
    assert notes_of(file) == [[[268435455, 536870910, 60, 64]]]
