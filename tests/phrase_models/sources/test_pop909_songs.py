"""Single songs of POP909 against the golden files, the regression songs, and broken copies."""

import os
import re
import shutil
import tracemalloc
from collections import Counter

import miditoolkit
import numpy as np
import pytest

from phrase_models.errors import BadAnnotationError
from phrase_models.score.song import BRIDGE, MELODY, PIANO, STEPS_PER_BAR, Song
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.sources.pop909.songs import (
    DATASET,
    STRUCTURE,
    IndexedSong,
    ingest_song,
    list_songs,
)
from phrase_models.sources.source import IngestedSong


def ingest(root, song_id: str, **settings) -> IngestedSong:
    return ingest_song(root, IndexedSong(song_id, 2, 2, present=True), IngestConfig(**settings))


def notes_by_bar(song: Song) -> list[Counter]:
    """(program, onset in the bar, pitch, duration) of every bar."""
    bars = [Counter() for _ in range(song.num_bars)]
    for track in song.tracks:
        for note in track.notes:
            bar, onset = divmod(note.onset, STEPS_PER_BAR)
            bars[bar][track.program, onset, note.pitch, note.duration] += 1
    return bars


def parse_reference(text: str) -> list[Counter]:
    bars = [Counter()]
    program = onset = pitch = 0
    for token in text.split():
        kind, value = token[0], int(token[2:])
        if kind == "i":
            program = value
        elif kind == "o":
            onset = value
        elif kind == "p":
            pitch = value
        elif kind == "d":
            bars[-1][program, onset, pitch, value] += 1
        else:
            bars.append(Counter())
    return bars[:-1]


def test_song_001_is_the_reference_note_for_note(pop909_root):
    expected = parse_reference((pop909_root / "golden" / "001.remiz.txt").read_text())
    ingested = ingest(pop909_root, "001")
    assert ingested.song is not None
    assert notes_by_bar(ingested.song) == expected
    assert (len(expected), sum(map(Counter.total, expected))) == (71, 1550)
    assert (ingested.song.key_shift, ingested.song.tempo_bpm) == (-6, 90.0)
    assert ingested.statistics["beat_phase_ticks"] == pytest.approx(39.84, abs=0.005)
    assert (ingested.statistics["offset16"], ingested.statistics["lead_notes"]) == (16, 1)
    last = max(note for track in ingested.song.tracks for note in track.notes)
    assert (last.pitch, last.duration) == (36, 36)  # rings over the barline


def test_all_reference_notes_of_song_083_are_there(pop909_root):
    midi = miditoolkit.MidiFile(str(pop909_root / "golden" / "083.mid"))
    expected = Counter(
        (
            instrument.program,
            round(note.start * 12 / midi.ticks_per_beat),
            note.pitch,
            round(note.end * 12 / midi.ticks_per_beat)
            - round(note.start * 12 / midi.ticks_per_beat),
        )
        for instrument in midi.instruments
        for note in instrument.notes
    )
    song = ingest(pop909_root, "083").song
    assert song is not None
    found = Counter(
        (track.program, note.onset, note.pitch, note.duration)
        for track in song.tracks
        for note in track.notes
    )
    assert expected.total() == 1828
    assert expected - found == Counter()
    assert (found - expected).total() == 8
    assert (song.num_bars, song.key_shift) == (64, 4)


# song, offset of bar 0, segments, residual, label file, reason
REGRESSIONS = [
    ("005", 0, 2, 0, "1", "ok"),
    ("409", 16, 1, -1, "1", "ok"),
    ("519", 8, 1, 2, "1", "ok"),
    ("202", 8, 1, -2, "1", "ok"),
    ("335", 36, 7, 0, "1", "label_short"),
    ("786", 92, 4, 0, "1", "ok"),
    ("888", 0, 4, 0, "2", "ok"),
    ("884", 116, 3, 1, "1", "content_loss"),
    ("302", 0, 1, 0, "1", "off_grid16"),
    ("018", 8, 1, 0, "1", "label_long"),
]


@pytest.mark.parametrize(
    ("song_id", "offset", "segments", "residual", "label", "reason"), REGRESSIONS
)
def test_regression_songs(pop909_root, song_id, offset, segments, residual, label, reason):
    ingested = ingest(pop909_root, song_id)
    assert ingested.reason == reason
    measured = [
        ingested.statistics[name]
        for name in ("offset16", "num_segments", "residual16", "label_file")
    ]
    assert measured == [offset, segments, residual, label]


@pytest.mark.parametrize(
    ("song_id", "reason"),
    [("108", "chord_conflict"), ("863", "chord_conflict"), ("746", "melody_mismatch"),
     ("198", "melody_mismatch"), ("270", "off_grid16"), ("098", "too_short"),
     ("240", "too_long"), ("471", "ok"), ("036", "ok")],
)  # fmt: skip
def test_reasons_of_awkward_songs(pop909_root, song_id, reason):
    ingested = ingest(pop909_root, song_id)
    assert (ingested.reason, ingested.accepted) == (reason, reason == "ok")
    assert (ingested.song is None) == (reason != "ok")
    assert (ingested.detail == "") == (reason == "ok")


def test_stored_tempo_is_the_one_that_lasts(pop909_root):
    assert ingest(pop909_root, "230").statistics["tempo_bpm"] == pytest.approx(79, abs=0.5)


def test_notes_keep_to_their_grid(pop909_root):
    for grid, multiple in ((16, 3), (48, 1)):
        song = ingest(pop909_root, "002", grid=grid).song
        assert song is not None
        notes = [note for track in song.tracks for note in track.notes]
        assert all(note.onset % multiple == 0 for note in notes)
        assert all(note.duration % multiple == 0 or note.duration == 127 for note in notes)
        assert any(note.onset % 3 for note in notes) == (grid == 48)
    assert [track.program for track in song.tracks] == [MELODY, BRIDGE, PIANO]


@pytest.fixture
def copy(pop909_root, tmp_path):
    """A folder with song 001 alone, whose files may be broken."""
    for sub in (DATASET, STRUCTURE):
        target = tmp_path / sub / "001"
        target.mkdir(parents=True)
        for path in (pop909_root / sub / "001").iterdir():
            if path.is_file():
                shutil.copyfile(path, target / path.name)
    return tmp_path


def locate(root, name: str):
    folder = DATASET if (root / DATASET / "001" / name).exists() else STRUCTURE
    return root / folder / "001" / name


@pytest.mark.parametrize(
    "name",
    ["001.mid", "beat_midi.txt", "chord_midi.txt", "melody.txt", "finalized_chord.txt",
     "analyzed_key.txt", "human_label1.txt"],
)  # fmt: skip
def test_a_needed_file_that_is_missing_is_named(copy, name):
    locate(copy, name).unlink()
    ingested = ingest(copy, "001")
    assert (ingested.accepted, ingested.reason) == (False, "missing_file")
    assert name in ingested.detail


@pytest.mark.parametrize(
    "name",
    ["chord_audio.txt", "key_audio.txt", "beat_audio.txt", "tempo.txt", "human_label2.txt"],
)
def test_files_that_are_not_used_may_be_missing(copy, name):
    before = ingest(copy, "001")
    locate(copy, name).unlink()
    assert ingest(copy, "001") == before


def test_damaged_midi_files(copy):
    path = copy / DATASET / "001" / "001.mid"
    whole = path.read_bytes()
    damaged = [b"", whole[:10], whole[:100], whole[: len(whole) // 2], b"only text\n" * 50]
    generator = np.random.default_rng(5)
    for _ in range(20):
        flipped = bytearray(whole)
        for place in generator.integers(0, len(flipped), 20):
            flipped[place] = int(generator.integers(256))
        damaged.append(bytes(flipped))
    for data in damaged:
        path.write_bytes(data)
        ingested = ingest(copy, "001")  # must not raise whatever the bytes are
        if data[:4] != b"MThd" or len(data) < len(whole):
            assert (ingested.reason, ingested.song) == ("bad_midi", None)
            assert str(path) in ingested.detail


def test_midi_without_notes(copy):
    path = copy / DATASET / "001" / "001.mid"
    midi = miditoolkit.MidiFile(str(path))
    for instrument in midi.instruments:
        instrument.notes.clear()
    midi.dump(str(path))
    ingested = ingest(copy, "001")
    assert (ingested.reason, ingested.song) == ("bad_midi", None)


@pytest.mark.parametrize("text", ["", "i4A8?", "A0", "4A", "A8 ?", "?"])
@pytest.mark.parametrize("name", ["human_label1.txt", "human_label2.txt"])
def test_label_with_a_syntax_error(copy, name, text):
    locate(copy, name).write_text(text)
    ingested = ingest(copy, "001")
    assert (ingested.reason, ingested.song) == ("bad_label", None)
    assert name in ingested.detail


def test_label_may_be_written_with_spaces(copy):
    path = locate(copy, "human_label1.txt")
    before = ingest(copy, "001")
    path.write_text(" ".join(re.findall(r"[A-Za-z]\d+", path.read_text())) + "\n")
    assert ingest(copy, "001") == before


def test_listing_names_what_is_absent_and_what_is_not_listed(pop909_root):
    entries = list_songs(pop909_root)
    assert [entry.song_id for entry in entries] == sorted(entry.song_id for entry in entries)
    assert len(entries) == 909
    absent = [entry for entry in entries if not entry.present]
    assert len(absent) == 45
    ingested = ingest_song(pop909_root, absent[0], IngestConfig())
    assert (ingested.reason, ingested.accepted) == ("missing_folder", False)
    assert absent[0].song_id in ingested.detail
    meters = Counter((e.num_beats_per_measure, e.num_quavers_per_beat) for e in entries)
    assert meters == {(2, 2): 857, (3, 2): 28, (2, 3): 23, (3, 3): 1}


def test_a_folder_without_an_index_is_still_listed(copy):
    assert list_songs(copy) == [IndexedSong("001", 2, 2, present=True)]
    assert list_songs(copy / "nothing") == []


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("human_label1.txt", "A99999999", "bad_label"),
        ("human_label1.txt", "A9000", "bad_label"),
        ("human_label1.txt", "A8 9", "bad_label"),
        ("melody.txt", "300 4\n", "bad_annotation"),
        ("melody.txt", "60 -4\n62 4\n", "bad_annotation"),
        ("melody.txt", "60 999999999\n60 1\n", "bad_annotation"),
        ("melody.txt", "", "bad_annotation"),
        ("beat_midi.txt", "nan 1 1\n1 0 0\n", "bad_annotation"),
        ("chord_midi.txt", "nan 1 C:maj\n", "bad_annotation"),
        ("chord_midi.txt", "0 1e12 C:maj\n", "bad_annotation"),
        ("chord_midi.txt", "", "bad_annotation"),
        ("finalized_chord.txt", "C:maj [] 0 999999999\n", "bad_annotation"),
        ("finalized_chord.txt", "C:maj [] 0 -4\n", "bad_annotation"),
        ("finalized_chord.txt", "", "bad_annotation"),
        ("analyzed_key.txt", "C:dorian\n", "bad_annotation"),
    ],
)
def test_impossible_values_are_a_reason_and_cost_no_memory(copy, name, text, reason):
    locate(copy, name).write_text(text)
    ingested = ingest(copy, "001")
    assert (ingested.reason, ingested.song) == (reason, None)
    assert name in ingested.detail


def test_a_midi_file_of_absurd_length_is_damaged(copy):
    path = copy / DATASET / "001" / "001.mid"
    midi = miditoolkit.MidiFile(str(path))
    midi.instruments[0].notes[-1].end = 2**27
    midi.dump(str(path))
    ingested = ingest(copy, "001")
    assert (ingested.reason, ingested.song) == ("bad_midi", None)


@pytest.mark.parametrize("content", [b"", b"no table"])
def test_a_broken_index_is_one_sentence(copy, content):
    (copy / DATASET / "index.xlsx").write_bytes(content)
    with pytest.raises(BadAnnotationError, match=r"index\.xlsx is no table with the columns"):
        list_songs(copy)


# --------------------------------------------------------------------------- surroundings
def test_folders_that_are_no_songs_and_names_that_are_no_text(tmp_path):
    folder = tmp_path / DATASET
    for name in (b"007", b".git", b"__MACOSX", b"\xff\xfe"):
        (folder / os.fsdecode(name)).mkdir(parents=True)
    entries = list_songs(tmp_path)
    assert [(entry.song_id, entry.named) for entry in entries] == [
        ("007", True),
        (r"\xff\xfe", False),
    ]
    ingested = ingest_song(tmp_path, entries[1], IngestConfig())
    assert (ingested.reason, ingested.detail) == (
        "bad_name",
        r"The name of folder \xff\xfe is not UTF-8; rename it.",
    )


def test_a_tempo_of_a_microsecond_a_beat_costs_a_sentence_and_no_memory(copy):
    path = copy / DATASET / "001" / "001.mid"
    data = path.read_bytes()
    place = data.index(b"\xff\x51\x03") + 3
    path.write_bytes(data[:place] + b"\0\0\1" + data[place + 3 :])
    tracemalloc.start()
    ingested = ingest(copy, "001")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ingested.reason == "bad_midi"
    assert "stretches its chords over more than 4096 bars (up to 60000000 beats" in ingested.detail
    assert peak < 50 << 20


def test_marks_that_windows_editors_put_before_a_text_are_no_part_of_it(copy):
    expected = ingest(copy, "001")
    for sub in (DATASET, STRUCTURE):
        for path in (copy / sub / "001").glob("*.txt"):
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert ingest(copy, "001") == expected
    assert expected.reason == "ok"
