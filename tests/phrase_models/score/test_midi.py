"""Tiny awkward MIDI files are made here, so that what is odd about each is plain to see."""

import struct
from pathlib import Path

import miditoolkit
import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrase_models.errors import BadMidiError
from phrase_models.score.grid import clean_track
from phrase_models.score.midi import MAX_READ_BARS, read_midi, read_with_report
from phrase_models.score.midi_writer import programs_by_port, write_midi
from phrase_models.score.reading_report import PartReport
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    ROLE_PROGRAMS,
    Note,
    Section,
    Song,
    Track,
    parse_section_layout,
)


def make_midi(
    path: Path,
    tracks: list[tuple[str, int, list[tuple[int, int, int]]]],
    *,
    ticks: int = 480,
    meters: tuple[tuple[int, int, int], ...] = ((4, 4, 0),),
    markers: tuple[tuple[str, int], ...] = (),
    tempos: tuple[tuple[float, int], ...] = ((120.0, 0),),
) -> Path:
    """Tracks are (name, program, [(start, end, pitch)]), in ticks."""
    midi = miditoolkit.MidiFile(ticks_per_beat=ticks)
    midi.tempo_changes = [miditoolkit.TempoChange(*tempo) for tempo in tempos]
    midi.time_signature_changes = [miditoolkit.TimeSignature(*meter) for meter in meters]
    midi.markers = [miditoolkit.Marker(*marker) for marker in markers]
    for name, program, notes in tracks:
        instrument = miditoolkit.Instrument(program % 128, is_drum=program == 128, name=name)
        instrument.notes = [miditoolkit.Note(96, pitch, start, end) for start, end, pitch in notes]
        midi.instruments.append(instrument)
    midi.dump(str(path))
    return path


def notes_of(song: Song) -> dict[int, list[tuple[int, int, int]]]:
    return {
        track.program: [(note.onset, note.pitch, note.duration) for note in track.notes]
        for track in song.tracks
    }


SONG = Song(
    "song",
    6,
    (
        Track(MELODY, (Note(0, 72, 12, 100), Note(12, 72, 12, 1), Note(12, 79, 127, 127))),
        Track(BRIDGE, (Note(3, 0, 1),)),
        Track(PIANO, (Note(0, 60, 48), Note(0, 64, 48), Note(190, 127, 96))),
    ),
    parse_section_layout("i2 A2 A1"),
    92.5,
)


# --------------------------------------------------------------------------- round trip
def test_a_song_comes_back_from_its_file(tmp_path):
    write_midi(SONG, tmp_path / "song.mid", texts=["seed 3 Lied für 歌"])
    assert read_midi(tmp_path / "song.mid") == SONG


@st.composite
def songs(draw: st.DrawFn) -> Song:
    num_bars = draw(st.integers(1, 5))
    note = st.builds(
        Note,
        st.integers(0, 48 * num_bars - 1),
        st.integers(0, 127) | st.just(60),
        st.integers(1, 127),
        st.integers(1, 127),
    )
    programs = draw(st.sets(st.sampled_from(ROLE_PROGRAMS), min_size=1))
    tracks = tuple(
        Track(program, clean_track(draw(st.lists(note, min_size=1, max_size=10))))
        for program in ROLE_PROGRAMS
        if program in programs
    )
    lengths = draw(st.lists(st.integers(1, 2), max_size=2))
    sections = tuple(
        Section(draw(st.sampled_from("iABxo")), sum(lengths[:index]), length)
        for index, length in enumerate(lengths)
        if sum(lengths[: index + 1]) <= num_bars
    )
    return Song("song", num_bars, tracks, sections, draw(st.integers(400, 40000)) / 100)


def test_any_song_comes_back_from_its_file(tmp_path):
    @given(songs())
    @settings(max_examples=60, deadline=None)
    def check(song):
        write_midi(song, tmp_path / "song.mid")
        assert read_midi(tmp_path / "song.mid") == song

    check()


def test_equal_songs_give_equal_bytes_and_nothing_is_left_aside(tmp_path):
    for name in ("a.mid", "deep/b.mid"):
        write_midi(SONG, tmp_path / name, texts=["seed 1"])
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "deep" / "b.mid").read_bytes()
    with pytest.raises(ValueError, match="no key"):
        write_midi(SONG, tmp_path / "a.mid", key="no key")
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["a.mid", "b.mid"]


def test_a_sequencer_sees_names_channels_programs_and_marks(tmp_path):
    write_midi(SONG, tmp_path / "song.mid", key="Bb", texts=["seed 3 Lied"])
    file = mido.MidiFile(tmp_path / "song.mid")
    assert (file.type, file.ticks_per_beat, len(file.tracks)) == (1, 480, 4)
    conductor = [message for message in file.tracks[0] if message.type != "end_of_track"]
    said = {message.type: message for message in conductor}
    assert said["text"].text == "seed 3 Lied"
    assert said["key_signature"].key == "Bb"
    assert (said["time_signature"].numerator, said["time_signature"].denominator) == (4, 4)
    assert said["set_tempo"].tempo == round(60e6 / 92.5)
    times, tick = [], 0
    for message in file.tracks[0]:
        tick += message.time
        if message.type == "marker":
            times.append((message.text, tick))
    assert times == [("i2", 0), ("A2", 3840), ("A1", 7680), ("end", 11520)]
    parts = [
        (track.name, {message.channel for message in track if not message.is_meta})
        for track in file.tracks[1:]
    ]
    assert parts == [("Melody", {0}), ("Bridge", {1}), ("Piano", {2})]
    programs = [
        message.program
        for track in file.tracks
        for message in track
        if message.type == "program_change"
    ]
    assert programs == [73, 25, 0]


def test_silent_roles_keep_their_channels_and_other_programs_are_written_too(tmp_path):
    drums = Track(128, (Note(0, 36, 6),))
    strings = Track(48, (Note(0, 60, 6),))
    song = Song("x", 1, (Track(PIANO, (Note(0, 60, 6),)), strings, drums))
    write_midi(song, tmp_path / "x.mid")
    file = miditoolkit.MidiFile(str(tmp_path / "x.mid"))
    assert [(item.name, item.program, item.is_drum) for item in file.instruments] == [
        ("Piano", 0, False),
        ("Program 48", 48, False),
        ("Program 128", 0, True),
    ]
    channels = [
        message.channel
        for track in mido.MidiFile(tmp_path / "x.mid").tracks
        for message in track
        if message.type == "program_change"
    ]
    assert channels == [0, 1, 2, 3, 9]


def test_a_song_without_notes_can_be_written(tmp_path):
    write_midi(Song("x", 0, ()), tmp_path / "x.mid")
    with pytest.raises(BadMidiError, match="holds no notes"):
        read_midi(tmp_path / "x.mid")


# --------------------------------------------------------------------------- reading
def test_the_golden_file_has_all_its_notes(pop909_root):
    song = read_midi(pop909_root / "golden" / "083.mid")
    assert (song.num_notes, song.num_bars, song.tempo_bpm) == (1828, 64, 60.0)
    assert {track.program: len(track.notes) for track in song.tracks} == {
        MELODY: 379,
        BRIDGE: 247,
        PIANO: 1202,
    }


def test_names_in_any_case_go_before_programs(tmp_path):
    path = make_midi(
        tmp_path / "x.mid",
        [
            ("Strings", 0, [(0, 480, 50)]),  # the piano's program, but not its name
            ("PIANO", 40, [(0, 480, 60)]),
            (" melody ", 0, [(480, 960, 70)]),
            ("Bridge", 0, [(960, 1440, 65)]),
            ("drums", 128, [(0, 10, 36)]),
        ],
    )
    assert notes_of(read_midi(path)) == {
        MELODY: [(12, 70, 12)],
        BRIDGE: [(24, 65, 12)],
        PIANO: [(0, 60, 12)],
    }


def test_programs_serve_where_no_track_has_a_role_as_name(tmp_path):
    path = make_midi(
        tmp_path / "x.mid",
        [
            ("Instrument_13", 13, [(0, 480, 72)]),
            ("", 0, [(0, 480, 60)]),
            ("again", 0, [(480, 960, 62)]),  # two tracks of one program are one part
            ("Strings", 48, [(0, 480, 50)]),
            ("kit", 128, [(0, 480, 36)]),
        ],
    )
    assert notes_of(read_midi(path)) == {
        MELODY: [(0, 72, 12)],
        BRIDGE: [(0, 50, 12)],  # the last track takes the last role, see `track_roles`
        PIANO: [(0, 60, 12), (12, 62, 12)],
    }


@pytest.mark.parametrize("ticks", [96, 120, 220, 480, 960, 12])
def test_any_resolution_is_read(tmp_path, ticks):
    path = make_midi(tmp_path / "x.mid", [("Piano", 0, [(ticks, 3 * ticks, 60)])], ticks=ticks)
    assert notes_of(read_midi(path)) == {PIANO: [(12, 60, 24)]}


@pytest.mark.parametrize(
    ("start", "end", "onset", "duration"),
    [
        (20, 60, 0, 2),  # half a step goes to the even one: 0.5 -> 0, 1.5 -> 2
        (60, 100, 2, 1),  # 1.5 -> 2, 2.5 -> 2: at least one step
        (21, 59, 1, 1),
        (140, 180, 4, 1),  # 3.5 -> 4, 4.5 -> 4
        (0, 19, 0, 1),
        (0, 480 * 40, 0, 127),
    ],
)
def test_onsets_and_ends_are_rounded_apart_half_to_even(tmp_path, start, end, onset, duration):
    path = make_midi(tmp_path / "x.mid", [("Piano", 0, [(start, end, 60)])])
    assert notes_of(read_midi(path)) == {PIANO: [(onset, 60, duration)]}


def test_ties_are_exact_at_every_resolution(tmp_path):
    # 220 ticks a beat: tick 55 * n is step 3 * n, and tick 55 * n / 6 a half step.
    notes = [(tick, tick + 220, 60) for tick in range(0, 22000, 275)]
    song = read_midi(make_midi(tmp_path / "x.mid", [("Piano", 0, notes)], ticks=220))
    assert [note.onset for note in song.tracks[0].notes] == list(range(0, 1200, 15))


def test_notes_that_collide_on_a_pitch(tmp_path):
    notes = [(0, 480, 60), (0, 960, 60), (480, 1440, 60), (0, 1920, 62), (240, 480, 64)]
    song = read_midi(make_midi(tmp_path / "x.mid", [("Piano", 0, notes)]))
    # Of the two at 0 the longest stays, and ends where its pitch is struck again.
    assert notes_of(song) == {PIANO: [(0, 60, 12), (0, 62, 48), (6, 64, 6), (12, 60, 24)]}


@pytest.mark.parametrize(
    ("tempos", "bpm", "words"),
    [
        (((66.6, 0), (140.0, 960)), 66.6, ""),  # after the music
        (((120.0, 0), (60.0, 240)), 60.0, "60 beats a minute, as long as before, 0.8 s"),
        (((120.0, 0), (4.0, 240)), 4.0, "15.0 s long instead of 7.8 s (+7.2 s)"),
        (((90.0, 0), (90.0, 240)), 90.0, ""),
    ],
)
def test_the_longest_tempo_is_kept_and_others_are_said_to_be_left_out(tmp_path, tempos, bpm, words):
    note = [("Piano", 0, [(0, 480, 60)])]
    read = read_with_report(make_midi(tmp_path / "x.mid", note, tempos=tempos))
    assert read.song.tempo_bpm == bpm
    said = [sentence for sentence in read.report.sentences if "tempo" in sentence]
    assert len(said) == bool(words)
    assert words in "".join(said)


def test_what_is_merged_cut_and_moved_is_counted(tmp_path):
    notes = [(0, 480, 60), (5, 960, 60), (480, 1440, 60), (0, 40 * 480, 62), (480, 960, 64)]
    drums = ("kit", 128, [(0, 10, 36), (480, 490, 36)])
    path = make_midi(tmp_path / "x.mid", [("Piano", 0, notes), drums])
    report = read_with_report(path).report
    assert report.parts == (PartReport(PIANO, 4, 1, 1, 1 / 96, 2),)
    assert (report.num_notes, report.num_kept, report.num_left_out) == (7, 4, 2)
    assert report.share_kept == 4 / 7


def test_beats_off_the_grid_are_shifted_for_a_model_only(tmp_path):
    notes = [(120 * n + 47, 120 * n + 160, 60) for n in range(16)]
    path = make_midi(tmp_path / "x.mid", [("Piano", 0, notes)])
    read = read_with_report(path, grid=16)
    assert [note.onset for note in read.song.tracks[0].notes] == [3 * n for n in range(16)]
    assert "All beats lie +0.098 beats off the grid and are shifted onto it." in (
        read.report.sentences
    )
    assert [note.onset for note in read_midi(path).tracks[0].notes][:3] == [1, 4, 7]


@pytest.mark.parametrize(
    ("markers", "sections", "num_bars"),
    [
        ((), "", 2),  # to the bar of the last onset
        ((("end", 7680),), "", 4),  # empty bars at the end survive
        ((("end", 960),), "", 2),  # but no note is lost to a marker
        ((("i2", 0), ("A-4", 3840), ("end", 13440)), "i2 A4", 7),
        ((("Verse", 0), ("Chorus", 3840)), "", 2),  # names of others say no lengths
        ((("A2", 1920),), "", 2),  # sections start at bar 0
        ((("A2", 0), ("B2", 1920), ("B3", 3840)), "", 2),  # and follow each other
        ((("A2", 0), ("B3", 3840), ("end", 9600)), "A2 B3", 5),
        ((("A1", 0), ("B1", 1920)), "A1 B1", 2),
        ((("C64", 0),), "", 2),  # without an end, none reaches over the music
        ((("A1", 0), ("A2", 1920), ("end", 5760)), "A1 A2", 3),
        ((("A1", 0), ("A2", 1920), ("end", 3840)), "", 2),
        ((("A0", 0),), "", 2),
    ],
)
def test_markers_tell_sections_and_length(tmp_path, markers, sections, num_bars):
    notes = [("Piano", 0, [(0, 480, 60), (3360, 7000, 60)])]
    song = read_midi(make_midi(tmp_path / "x.mid", notes, markers=markers))
    assert song.sections == (parse_section_layout(sections) if sections else ())
    assert song.num_bars == num_bars


def test_a_note_that_never_ends_one_without_length_and_pedals_do_no_harm(tmp_path):
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("track_name", name="Piano"))
    track.append(mido.Message("control_change", control=64, value=100))
    track.append(mido.Message("note_on", note=40, velocity=80, time=0))
    track.append(mido.Message("note_on", note=60, velocity=80, time=0))
    track.append(mido.Message("note_on", note=60, velocity=0, time=480))
    track.append(mido.Message("note_on", note=62, velocity=80, time=0))
    track.append(mido.Message("note_off", note=62, time=0))
    track.append(mido.Message("note_off", note=99, time=0))
    file.save(tmp_path / "x.mid")
    assert notes_of(read_midi(tmp_path / "x.mid")) == {
        PIANO: [(0, 40, 12), (0, 60, 12), (12, 62, 1)]
    }


# --------------------------------------------------------------------------- refusals
PLAIN = [("Piano", 0, [(0, 480, 60)])]


def refusal(path: Path) -> str:
    with pytest.raises(BadMidiError) as caught:
        read_midi(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_missing_file_and_a_folder(tmp_path):
    assert "no MIDI file" in refusal(tmp_path / "none.mid")
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"Dear diary", "is no MIDI file"),
        (b"MThd", "ends within its header, after 4 bytes"),
        (b"MThd" + struct.pack(">IHHH", 6, 1, 1, 480), "has a header but no track"),
        (b"MThd" + struct.pack(">IHHH", 6, 1, 0, 480), "has a header but no track"),
    ],
)
def test_what_is_no_whole_midi_file(tmp_path, content, words):
    path = tmp_path / "x.mid"
    path.write_bytes(content)
    assert words in refusal(path)


@pytest.mark.parametrize(("division", "words"), [(0, "0 ticks"), (0xE728, "frames, not in beats")])
def test_time_that_is_not_counted_in_beats(tmp_path, division, words):
    path = make_midi(tmp_path / "x.mid", PLAIN)
    content = bytearray(path.read_bytes())
    content[12:14] = struct.pack(">H", division)
    path.write_bytes(content)
    assert words in refusal(path)


@pytest.mark.parametrize(
    ("meters", "words"),
    [
        (((3, 4, 0),), "is in 3/4 from bar 1 (tick 0)"),
        (((6, 8, 0),), "is in 6/8 from bar 1 (tick 0)"),
        (((4, 4, 0), (2, 4, 7680)), "is in 2/4 from bar 5 (tick 7680)"),
        (((1, 4, 0), (4, 4, 480), (3, 4, 2400)), "is in 3/4 from bar 2 (tick 2400)"),
        (((3, 4, 0), (4, 4, 2880)), "is in 3/4 from bar 1 (tick 0)"),  # two bars are no pickup
    ],
)
def test_other_meters(tmp_path, meters, words):
    notes = [("Piano", 0, [(0, 480, 60), (9600, 9700, 60)])]
    assert words in refusal(make_midi(tmp_path / "x.mid", notes, meters=meters))


def test_a_meter_after_the_music_does_no_harm(tmp_path):
    path = make_midi(tmp_path / "x.mid", PLAIN, meters=((4, 4, 0), (3, 4, 480)))
    assert notes_of(read_midi(path)) == {PIANO: [(0, 60, 12)]}


def test_a_file_without_notes_and_one_of_drums(tmp_path):
    assert "holds no notes" in refusal(make_midi(tmp_path / "a.mid", [("Piano", 0, [])]))
    sentence = refusal(make_midi(tmp_path / "b.mid", [("Piano", 128, [(0, 480, 36)])]))
    assert "track 1 (1 note) is left out, drums, channel 10" in sentence


def test_a_file_of_endless_length(tmp_path):
    last = MAX_READ_BARS * 1920
    path = make_midi(tmp_path / "x.mid", [("Piano", 0, [(0, 480, 60), (last, last + 480, 60)])])
    assert f"{MAX_READ_BARS + 1} bars long" in refusal(path)


def test_a_file_cut_anywhere_or_with_a_wrong_byte_is_read_or_refused_never_a_crash(tmp_path):
    write_midi(SONG, tmp_path / "song.mid", texts=["seed 3"])
    content = (tmp_path / "song.mid").read_bytes()
    path = tmp_path / "x.mid"
    for end in range(len(content)):
        path.write_bytes(content[:end])
        try:
            kept = read_midi(path).num_notes
        except BadMidiError:
            continue
        assert 0 < kept <= SONG.num_notes
    for place in range(len(content)):
        for value in (0x00, 0x7F, 0xFF):
            path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            try:
                song = read_midi(path)
            except BadMidiError:
                continue
            assert song.num_notes > 0


# --------------------------------------------------------------------------- many programs
def test_no_two_programs_share_a_channel_of_a_port(tmp_path):
    programs = (*ROLE_PROGRAMS, *range(40, 57), 128)
    song = Song("many", 1, tuple(Track(program, (Note(0, 60, 12),)) for program in programs))
    write_midi(song, tmp_path / "many.mid")
    places, sounds = [], []
    for track in mido.MidiFile(tmp_path / "many.mid").tracks[1:]:
        by_type = {message.type: message for message in track}
        places.append((by_type["midi_port"].port, by_type["note_on"].channel))
        sounds.append(by_type["program_change"].program)
    assert len(set(places)) == len(programs) == 21
    assert places[-1] == (1, 4)
    assert places.index((0, 9)) == sounds.index(0, 3)  # drums, on the first port
    assert [len(port) for port in programs_by_port(song)] == [16, 5]
    few = Song("few", 1, song.tracks[:15])
    write_midi(few, tmp_path / "few.mid")
    types = {
        message.type for track in mido.MidiFile(tmp_path / "few.mid").tracks for message in track
    }
    assert "midi_port" not in types
    assert len(programs_by_port(few)) == 1
