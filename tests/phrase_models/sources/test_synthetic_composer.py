"""The composer: reproducible to the byte, shaped like POP909, and read back as composed."""

import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from miditoolkit import MidiFile
from pydantic import ValidationError

from phrase_models.score.chords import chord_text, parse_chord_name
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    SIXTEENTH,
    STEPS_PER_BAR,
    Note,
    Song,
    format_section_layout,
)
from phrase_models.sources.synthetic.composer import ComposedSong, SyntheticConfig, compose_song
from phrase_models.sources.synthetic.files import write_corpus
from phrase_models.sources.synthetic.harmony import Key, chord_at, parse_chord

NUM_SONGS = 60
CONFIG = SyntheticConfig(num_songs=NUM_SONGS, seed=7)


@pytest.fixture(scope="module")
def songs() -> list[ComposedSong]:
    return [compose_song(CONFIG, index) for index in range(NUM_SONGS)]


def notes_of(song: Song, program: int) -> tuple[Note, ...]:
    return next((track.notes for track in song.tracks if track.program == program), ())


def bars_of(song: Song, program: int) -> list[set[tuple[int, int]]]:
    """For each bar the (onset, pitch) of its notes."""
    bars: list[set[tuple[int, int]]] = [set() for _ in range(song.num_bars)]
    for note in notes_of(song, program):
        bar, onset = divmod(note.onset, STEPS_PER_BAR)
        bars[bar].add((onset, note.pitch))
    return bars


def labels_of(song: Song) -> str:
    return "".join(section.label * section.num_bars for section in song.sections)


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_corpus_is_the_same_to_the_byte(tmp_path: Path) -> None:
    config = SyntheticConfig(num_songs=3, seed=5, min_bars=16, max_bars=40)
    write_corpus(tmp_path / "first", config)
    write_corpus(tmp_path / "second", config)
    first = files_below(tmp_path / "first")
    assert first == files_below(tmp_path / "second")
    assert len(first) == 3 * 12 + 1
    assert set(first) >= {
        "POP909-Dataset/POP909/index.xlsx",
        "POP909-Dataset/POP909/003/003.mid",
        "hierarchical-structure-analysis/POP909/003/human_label2.txt",
    }


def test_a_song_depends_on_seed_and_index_alone() -> None:
    few = SyntheticConfig(num_songs=2, seed=7)
    assert compose_song(few, 1) == compose_song(CONFIG, 1)
    assert compose_song(CONFIG, 0).song.tracks != compose_song(CONFIG, 1).song.tracks
    other = SyntheticConfig(num_songs=2, seed=8)
    assert compose_song(other, 1).song.tracks != compose_song(few, 1).song.tracks


def test_index_lists_every_song_as_text(tmp_path: Path) -> None:
    write_corpus(tmp_path, SyntheticConfig(num_songs=2, min_bars=8, max_bars=12))
    sheet = openpyxl.load_workbook(tmp_path / "POP909-Dataset" / "POP909" / "index.xlsx").active
    assert sheet is not None
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0][0] == "song_id"
    assert rows[0][4:] == ("num_beats_per_measure", "num_quavers_per_beat")
    assert [(row[0], *row[4:]) for row in rows[1:]] == [("001", "2", "2"), ("002", "2", "2")]


@pytest.mark.parametrize(
    ("min_bars", "max_bars"), [(4, 4), (8, 24), (11, 11), (16, 20), (120, 128)]
)
def test_length_stays_within_the_bounds(min_bars: int, max_bars: int) -> None:
    config = SyntheticConfig(seed=1, min_bars=min_bars, max_bars=max_bars)
    for index in range(12):
        song = compose_song(config, index).song
        assert min_bars <= song.num_bars <= max_bars
        assert sum(section.num_bars for section in song.sections) == song.num_bars
        assert all(section.num_bars >= 1 for section in song.sections)
        for one, following in pairwise(song.sections):
            assert following.start_bar == one.start_bar + one.num_bars
        assert notes_of(song, PIANO)[-1].onset >= (song.num_bars - 1) * STEPS_PER_BAR


def test_swapped_bounds_are_refused() -> None:
    with pytest.raises(ValidationError, match="min_bars 30 is larger than max_bars 20"):
        SyntheticConfig(min_bars=30, max_bars=20)


def test_notes_keep_to_the_grid(songs: list[ComposedSong]) -> None:
    for composed in songs:
        song = composed.song
        assert len(composed.chords) == song.num_bars
        assert all(sum(chord.num_beats for chord in bar) == 4 for bar in composed.chords)
        for track in song.tracks:
            assert list(track.notes) == sorted(track.notes)
            sounding: dict[int, int] = {}
            for note in track.notes:
                assert note.onset % SIXTEENTH == 0
                assert note.duration % SIXTEENTH == 0
                assert note.onset >= sounding.get(note.pitch, 0)
                assert 0 < note.duration <= song.num_bars * STEPS_PER_BAR - note.onset
                assert 28 <= note.pitch <= 100
                assert 1 <= note.velocity <= 127
                sounding[note.pitch] = note.onset + note.duration
        for one, following in pairwise(notes_of(song, MELODY)):
            assert one.onset + one.duration <= following.onset


def test_sections_of_one_letter_recur(songs: list[ComposedSong]) -> None:
    shared: dict[int, list[float]] = defaultdict(list)
    for composed in songs:
        if composed.final_key != composed.key:
            continue
        song = composed.song
        for program in (MELODY, PIANO):
            bars = bars_of(song, program)
            for one in song.sections:
                for other in song.sections:
                    if other.label != one.label or other.start_bar <= one.start_bar:
                        continue
                    # Last bars get up-beats into the next section or the closing chord.
                    for bar in range(min(one.num_bars, other.num_bars) - 1):
                        pair = bars[one.start_bar + bar], bars[other.start_bar + bar]
                        union = len(pair[0] | pair[1])
                        shared[program].append(len(pair[0] & pair[1]) / union if union else 1.0)
    assert np.mean(shared[MELODY]) > 0.85
    assert np.mean(shared[PIANO]) > 0.7
    assert min(shared[MELODY]) < 1.0  # it does vary


def test_melody_is_sung_in_upper_case_sections(songs: list[ComposedSong]) -> None:
    present: dict[bool, list[bool]] = {True: [], False: []}
    for composed in songs:
        bars = bars_of(composed.song, MELODY)
        for label, bar in zip(labels_of(composed.song), bars, strict=True):
            present[label.isupper()].append(bool(bar))
    assert 0.95 <= np.mean(present[True]) <= 0.99
    assert 0.01 <= np.mean(present[False]) <= 0.07


def test_corpus_is_shaped_like_pop909(songs: list[ComposedSong]) -> None:
    """Bounds around the figures measured on the real songs, given in the comments."""
    phrases: dict[int, list[int]] = {MELODY: [], BRIDGE: [], PIANO: []}
    num_bars = sum(composed.song.num_bars for composed in songs)
    crossing = 0
    num_notes = 0
    for composed in songs:
        for program, sizes in phrases.items():
            sizes += [len(bar) for bar in bars_of(composed.song, program) if bar]
            for note in notes_of(composed.song, program):
                num_notes += 1
                crossing += note.onset % STEPS_PER_BAR + note.duration > STEPS_PER_BAR
    assert sum(map(len, phrases.values())) / num_bars == pytest.approx(2.44, abs=0.12)  # 2.436
    assert len(phrases[BRIDGE]) / num_bars == pytest.approx(0.67, abs=0.1)  # .674
    assert len(phrases[PIANO]) / num_bars >= 0.99  # .995
    assert np.mean(phrases[MELODY]) == pytest.approx(5.5, abs=0.6)  # 5.54
    assert np.mean(phrases[BRIDGE]) == pytest.approx(5.0, abs=0.9)  # 5.22
    assert np.mean(phrases[PIANO]) == pytest.approx(13.2, abs=2.0)  # 13.2
    assert 0.003 <= crossing / num_notes <= 0.04  # .029
    lengths = [composed.song.num_bars for composed in songs]
    assert 20 <= min(lengths) < 45
    assert max(lengths) > 90
    assert np.median(lengths) == pytest.approx(74, abs=10)  # 76
    assert np.median([len(composed.song.sections) for composed in songs]) >= 9  # 12
    assert {composed.key.tonic for composed in songs} == set(range(12))
    assert {composed.key.minor for composed in songs} == {False, True}
    assert all(60 <= composed.song.tempo_bpm <= 125 for composed in songs)
    assert {composed.lead_in_beats % 4 for composed in songs} == {0, 1, 2, 3}
    assert any(composed.final_key != composed.key for composed in songs)


def test_keys_and_chords_have_their_names() -> None:
    assert Key(6, minor=False).key_shift == -6
    assert Key(6, minor=False).name == "Gb:maj"
    assert Key(7, minor=False).key_shift == 5
    assert Key(9, minor=True).key_shift == 0
    assert Key(8, minor=True).key_shift == 1
    assert {Key(tonic, minor=True).key_shift for tonic in range(12)} == set(range(-6, 6))
    assert parse_chord("C/3").name(6) == "F#:maj/3"
    assert parse_chord("Am7").name(-6) == "Eb:min7"
    assert parse_chord("Bdim").pitch_classes == (11, 2, 5)


def test_midi_holds_the_composed_notes_in_the_written_key(tmp_path: Path) -> None:
    config = SyntheticConfig(num_songs=3, seed=3, min_bars=16, max_bars=40)
    write_corpus(tmp_path, config)
    for index in range(3):
        composed = compose_song(config, index)
        song_id = composed.song.song_id
        path = tmp_path / "POP909-Dataset" / "POP909" / song_id / f"{song_id}.mid"
        midi = MidiFile(str(path))
        assert [instrument.name for instrument in midi.instruments] == ["MELODY", "BRIDGE", "PIANO"]
        assert [instrument.program for instrument in midi.instruments] == [0, 0, 0]
        start = composed.beat_phase_ticks + 480 * composed.lead_in_beats
        for instrument, program in zip(midi.instruments, (MELODY, BRIDGE, PIANO), strict=True):
            read = sorted(
                (round((note.start - start) / 40), note.pitch + composed.song.key_shift,
                 round((note.end - start) / 40), note.velocity)
                for note in instrument.notes
            )  # fmt: skip
            assert read == [
                (note.onset, note.pitch, note.onset + note.duration, note.velocity)
                for note in notes_of(composed.song, program)
            ]


def test_melody_and_chord_text_agree_with_the_song(tmp_path: Path) -> None:
    config = SyntheticConfig(num_songs=1, seed=11, min_bars=16, max_bars=24)
    write_corpus(tmp_path, config)
    composed = compose_song(config, 0)
    folder = tmp_path / "hierarchical-structure-analysis" / "POP909" / "001"
    onset = 0
    read: list[tuple[int, int, int]] = []
    for line in (folder / "melody.txt").read_text().splitlines():
        pitch, length = map(int, line.split())
        if pitch:
            read.append((onset * SIXTEENTH, pitch + composed.song.key_shift, length * SIXTEENTH))
        onset += length
    melody = notes_of(composed.song, MELODY)
    assert read == [(note.onset, note.pitch, note.duration) for note in melody]
    chords = (folder / "finalized_chord.txt").read_text().splitlines()
    assert sum(int(line.split()[-1]) for line in chords) == 4 * composed.song.num_bars
    pattern = r"[A-G][#b]?:\S+ \[\d+(, \d+)*\] \d+ \d "
    assert all(re.fullmatch(pattern, line) for line in chords)


@pytest.mark.parametrize(
    "config",
    [
        SyntheticConfig(num_songs=8, seed=2),
        SyntheticConfig(num_songs=8, seed=4, min_bars=16, max_bars=24),
    ],
)
def test_reader_recovers_songs_as_composed(tmp_path: Path, config: SyntheticConfig) -> None:
    pop909 = pytest.importorskip("phrase_models.sources.pop909.songs")
    write_corpus(tmp_path, config)
    entries = pop909.list_songs(tmp_path)
    assert [entry.song_id for entry in entries] == [f"{n:03d}" for n in range(1, 9)]
    for index, entry in enumerate(entries):
        composed = compose_song(config, index).song
        ingested = pop909.ingest_song(tmp_path, entry, pop909.IngestConfig())
        assert (ingested.reason, ingested.accepted) == ("ok", True), ingested.detail
        song = ingested.song
        assert song is not None
        assert song.num_bars == composed.num_bars
        assert format_section_layout(song.sections) == format_section_layout(composed.sections)
        assert song.key_shift == composed.key_shift
        assert song.tempo_bpm == pytest.approx(composed.tempo_bpm, rel=1e-3)
        for program in (MELODY, BRIDGE, PIANO):
            assert notes_of(song, program) == notes_of(composed, program)
        halves = [
            [parse_chord_name(chord_at(bar, beat).name()) for beat in (0, 2)]
            for bar in compose_song(config, index).chords
        ]
        assert chord_text(song.chords) == chord_text(halves)
