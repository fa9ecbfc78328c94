"""Parsers of the text files: values read, and one sentence for what is malformed."""

from pathlib import Path

import pytest

from phrase_models.errors import BadAnnotationError
from phrase_models.score.chords import chord_name
from phrase_models.score.song import Section
from phrase_models.sources.pop909 import annotations
from phrase_models.sources.pop909.annotations import NO_ROOT, TimedChord


@pytest.fixture
def write(tmp_path):
    def _write(text: str) -> Path:
        path = tmp_path / "001" / "annotation.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
        return path

    return _write


def test_beats_are_the_first_column(write):
    assert annotations.read_beats(write("0.055 1.0 1.0\n0.722 0.0 0.0\n\n")) == [0.055, 0.722]


def test_timed_chords(write):
    chords = annotations.read_timed_chords(write("0.0\t0.5\tN\n0.5\t1.25\tF#:maj7/5\n"))
    assert chords == [TimedChord(0.0, 0.5, NO_ROOT), TimedChord(0.5, 1.25, 6)]


def test_beat_chords_repeat_for_every_beat(write):
    text = "Bb:min [1, 5, 10] 10 2 \nN []  3\nN [10] 18 1\nF:sus4(b7)\x01 [0, 5, 10] 5 1"
    chords = annotations.read_beat_chords(write(text))
    assert [chord_name(chord) for chord in chords] == [*["Bbm"] * 2, *["N"] * 4, "Fsus"]
    assert [annotations.root_of(chord) for chord in chords] == [10, 10, -1, -1, -1, -1, 5]


def test_melody_skips_rests_but_counts_their_time(write):
    assert annotations.read_melody(write("0 60\n61 1\n0 3\n63 8\n")) == [(60, 61), (64, 63)]


@pytest.mark.parametrize(
    ("text", "majors"),
    [
        ("Gb:maj\n", [6]),
        ("A:min\n", [0]),
        ("C:min\r\nC:maj\r\n\r\n", [3, 0]),
        ("G#:min", [11]),
    ],
)
def test_keys_become_relative_majors(write, text, majors):
    assert annotations.read_key_candidates(write(text)) == majors


def test_sections_are_contiguous(write):
    expected = (Section("i", 0, 4), Section("A", 4, 8), Section("A", 12, 8), Section("o", 20, 3))
    assert annotations.read_sections(write("i4A8A8o3\n")) == expected


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (annotations.read_beats, "one two\n"),
        (annotations.read_beats, "0.5 1 1\n"),
        (annotations.read_timed_chords, "0.0 0.5\n"),
        (annotations.read_timed_chords, "0.0 0.5 H:maj\n"),
        (annotations.read_beat_chords, "C:maj [0, 4, 7] 0 2.5\n"),
        (annotations.read_beat_chords, "H:maj [0] 0 2\n"),
        (annotations.read_melody, "60\n"),
        (annotations.read_melody, "60 quarter\n"),
        (annotations.read_key_candidates, "H:maj\n"),
        (annotations.read_key_candidates, ""),
        (annotations.read_sections, ""),
        (annotations.read_sections, "i4A8?"),
        (annotations.read_sections, "A0"),
        (annotations.read_sections, "4A"),
    ],
)
def test_malformed_text_is_one_sentence_naming_the_file(write, reader, text):
    path = write(text)
    with pytest.raises(BadAnnotationError) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(BadAnnotationError, match=r"melody\.txt of song .* is missing"):
        annotations.read_melody(tmp_path / "melody.txt")
    (tmp_path / "melody.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadAnnotationError, match="is not text"):
        annotations.read_melody(tmp_path / "melody.txt")
