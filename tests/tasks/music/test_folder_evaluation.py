"""`evaluate FOLDER`: metrics of songs of any origin, and what is said of those that are none."""

import json
from dataclasses import replace

import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.generator import GeneratedSong, SongRequest
from phrase_models.metrics.song_features import groove_consistency, polyphony
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import Note, Song
from phrase_models.score.transforms import transpose
from phrase_models.song_batch import write_descriptions, write_song
from phrase_models.sources.synthetic.composer import SyntheticConfig, compose_song
from storage.errors import NotWritable
from tasks.music.folder_evaluation import evaluate_folder

CONFIG = SyntheticConfig(num_songs=4, seed=0, min_bars=8, max_bars=12)
SONGS = [compose_song(CONFIG, index).song for index in range(4)]


@pytest.fixture
def folder(tmp_path):
    """Two songs, one of them in E flat in a folder of its own, and two files that are none."""
    write_midi(SONGS[0], tmp_path / "songs" / "a.mid")
    write_midi(transpose(SONGS[1], 3), tmp_path / "songs" / "deep" / "b.MID", key="Eb")
    (tmp_path / "songs" / "words.mid").write_text("these are words, not music")
    (tmp_path / "songs" / "notes.txt").write_text("no song at all")
    return tmp_path / "songs"


def evaluated(folder, tmp_path, reference=None):
    """What is said, and the figures."""
    figures = tmp_path / "figures.json"
    said = evaluate_folder(folder, reference, tmp_path / "store", figures, force=True)
    return said, json.loads(figures.read_text())


def test_files_of_any_origin_are_measured_by_their_notes(folder, tmp_path):
    said, figures = evaluated(folder, tmp_path)
    rows = figures["songs"]
    for name, measure in (("polyphony", polyphony), ("groove_consistency", groove_consistency)):
        expected = (measure(SONGS[0]) + measure(SONGS[1])) / 2
        assert rows[name]["value"] == pytest.approx(expected), name
        assert rows[name]["note"] == "undefined for 1 of 3 songs: 1 missing"
    assert rows["in_scale_rate"]["value"] > 0.9
    assert rows["failures"]["value"] == pytest.approx(1 / 3)
    assert list(figures["unread"]) == ["words.mid"]
    assert "1 of 3 songs cannot be read and count as failures:" in said
    assert "words.mid: File" in said
    assert "reference" not in figures
    assert {"mr", "feature_frechet", "srs", "phrase_fid"} & set(rows) == set()
    for reason in ("need latents of the reference", "holds no latents", "no --reference was named"):
        assert reason in said
    assert not (tmp_path / "store").exists()


def test_a_pitch_at_the_edge_of_midi_does_not_fail_a_song_of_another_key(tmp_path):
    song = transpose(SONGS[0], 3)
    for edge in (0, 127):
        notes = (*song.tracks[0].notes, Note(0, edge, 6))
        edged = replace(song, tracks=(replace(song.tracks[0], notes=notes), *song.tracks[1:]))
        write_midi(edged, tmp_path / "songs" / f"{edge}.mid")
    _, figures = evaluated(tmp_path / "songs", tmp_path)
    assert figures["unread"] == {}
    assert figures["songs"]["failures"]["value"] == 0


def test_copies_of_the_reference_are_memorised(folder, tmp_path):
    for index, song in enumerate(SONGS):
        write_midi(song, tmp_path / "real" / f"{index}.mid")
    _, figures = evaluated(folder, tmp_path, tmp_path / "real")
    assert figures["songs"]["mmr"]["value"] == 1.0
    assert figures["songs"]["mr"]["value"] == 1.0
    assert figures["reference"]["mr"]["value"] == 0.0
    assert figures["reference"]["mr"]["num_songs"] == 4
    assert "feature_frechet" not in figures["reference"]


def test_songs_of_generate_are_held_to_what_was_asked(tmp_path):
    folder = tmp_path / "songs"
    asked = [SongRequest(SONGS[0].num_bars, SONGS[0].sections), SongRequest(99), SongRequest(8)]
    songs = [SONGS[0], SONGS[1], Song("silent", 8, ())]
    made = [
        GeneratedSong(index, request, song, "by hand")
        for index, (request, song) in enumerate(zip(asked, songs, strict=True))
    ]
    for song in made:
        write_song(song, 2, folder)
    write_descriptions(made, "by hand", 2, folder)
    (folder / "midi" / "song-001.mid").unlink()
    said, figures = evaluated(folder, tmp_path)
    rows = figures["songs"]
    assert rows["length_accuracy"]["value"] == pytest.approx(1 / 3)
    assert rows["length_accuracy"]["note"] == "counted as wrong: 1 missing, 1 silent"
    assert rows["failures"]["note"] == "1 missing, 1 silent"
    assert list(figures["unread"]) == ["song-001"]
    assert "song-001: There is no MIDI file" in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "There is no folder"),
        ("empty", "There is no MIDI file in"),
        ("broken", "holds no songs as `phraseldm generate` writes them"),
    ],
)
def test_a_folder_without_songs_is_one_sentence(tmp_path, name, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "songs.json").write_text('[{"index": 0}]')
    with pytest.raises(ConfigurationError, match=words):
        evaluate_folder(tmp_path / name, None, tmp_path / "store", None)


def test_a_file_of_figures_is_replaced_by_force_alone(folder, tmp_path):
    (tmp_path / "figures.json").write_text("years of work")
    with pytest.raises(NotWritable, match="exists already"):
        evaluate_folder(folder, None, tmp_path / "store", tmp_path / "figures.json")
    assert (tmp_path / "figures.json").read_text() == "years of work"
