"""Songs between two MIDI files."""

import numpy as np
import pytest

from phrase_models.codec import PhraseCodec
from phrase_models.errors import BadMidiError, ConfigurationError
from phrase_models.score.midi import read_key, read_midi
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Note, Phrase, PhraseNote, Song, Track
from phrase_models.tokens.song_layout import song_to_bars
from phrase_models.vae.interpolation import decode_paths, mean_smoothness
from storage.errors import NotWritable
from tasks.music.interpolation import interpolate_files, phrase_pairs, song_of_pairs

MELODY_OF_THREE = Track(MELODY, (Note(0, 72, 12), Note(48, 74, 12), Note(96, 76, 12)))
FIRST = Song("first", 3, (MELODY_OF_THREE, Track(PIANO, (Note(0, 48, 48),))), (), 120.0)
SECOND = Song(
    "second",
    2,
    (
        Track(MELODY, (Note(60, 67, 24),)),
        Track(BRIDGE, (Note(0, 60, 12),)),
        Track(PIANO, (Note(0, 43, 24), Note(48, 45, 24))),
    ),
    (),
    80.0,
)


@pytest.fixture
def files(tmp_path):
    paths = tmp_path / "first.mid", tmp_path / "second.mid"
    for song, path in zip((FIRST, SECOND), paths, strict=True):
        write_midi(song, path)
    return paths


def test_pairs_are_where_both_play_within_the_shorter_song():
    pairs = phrase_pairs(FIRST, SECOND)
    assert [(pair.bar, pair.program) for pair in pairs] == [(0, PIANO), (1, MELODY)]
    mirrored = phrase_pairs(SECOND, FIRST)
    assert [(pair.first, pair.second) for pair in mirrored] == [
        (pair.second, pair.first) for pair in pairs
    ]


def test_a_song_of_pairs_has_each_phrase_in_its_place():
    pairs = phrase_pairs(FIRST, SECOND)
    # A phrase that came out under another program plays what its place plays.
    strayed = Phrase(BRIDGE, (PhraseNote(12, 50, 6),))
    song = song_of_pairs(pairs, [strayed, None], 2, "x", 77.0)
    assert song_to_bars(song) == [[Phrase(PIANO, (PhraseNote(12, 50, 6),))], []]
    assert (song.num_bars, song.tempo_bpm, song.song_id) == (2, 77.0, "x")


def test_the_songs_are_those_of_the_latents_between(make_vae_store, files, tmp_path):
    made = make_vae_store("synthetic")
    sentence = interpolate_files(made.store.root, *files, 4, tmp_path / "between")
    names = [f"point-{point:02d}-of-04.mid" for point in range(1, 5)]
    found = sorted(path.name for path in (tmp_path / "between").iterdir())
    assert found == [*names, "strip.png"]
    assert (tmp_path / "between" / "strip.png").read_bytes().startswith(b"\x89PNG")

    codec, pairs = PhraseCodec(made.vae, "role"), phrase_pairs(FIRST, SECOND)
    first = codec.encode_phrases([pair.first for pair in pairs])
    second = codec.encode_phrases([pair.second for pair in pairs])
    assert np.abs(first - second).max() > 0
    paths = decode_paths(codec.vae, first, second, 4)
    for point, name in enumerate(names):
        expected = song_of_pairs(pairs, [path[point] for path in paths], 2, "x", 120.0)
        write_midi(expected, tmp_path / "expected.mid")
        assert (tmp_path / "between" / name).read_bytes() == (
            tmp_path / "expected.mid"
        ).read_bytes()
    measured = mean_smoothness(paths)
    assert sentence.startswith("2 pairs of phrases in 2 bars: distance of the ends")
    assert f"mean step {measured.mean_step:.3f}, largest {measured.max_step:.3f};" in sentence


def test_a_song_with_itself_does_not_move(make_vae_store, files, tmp_path):
    root = make_vae_store("synthetic").store.root
    sentence = interpolate_files(root, files[0], files[0], 3, tmp_path / "between")
    assert "4 pairs of phrases in 3 bars: distance of the ends 0.000, mean step 0.000" in sentence
    songs = [path.read_bytes() for path in sorted((tmp_path / "between").glob("*.mid"))]
    assert len(songs) == 3
    assert len(set(songs)) == 1


def test_the_key_is_that_of_the_first_and_the_other_is_named(make_vae_store, files, tmp_path):
    write_midi(FIRST, files[0], key="D")
    root = make_vae_store("synthetic").store.root
    sentence = interpolate_files(root, *files, 2, tmp_path / "between")
    assert "key D as in first.mid, not C as in second.mid" in sentence
    assert {read_key(path) for path in (tmp_path / "between").glob("*.mid")} == {"D"}


def test_songs_that_never_play_together_are_refused(make_vae_store, files, tmp_path):
    alone = tmp_path / "alone.mid"
    write_midi(Song("alone", 1, (Track(BRIDGE, (Note(0, 60, 12),)),), (), 90.0), alone)
    with pytest.raises(ConfigurationError, match="never play the same part in the same bar"):
        interpolate_files(tmp_path / "store", alone, files[0], 4, tmp_path / "between")
    assert not (tmp_path / "between").exists()


def test_a_missing_song_and_a_file_as_folder_are_sentences(files, tmp_path):
    with pytest.raises(BadMidiError, match="There is no MIDI file"):
        interpolate_files(tmp_path / "store", files[0], tmp_path / "none.mid", 4, tmp_path / "out")
    with pytest.raises(NotWritable, match="is a file; name a folder for the songs"):
        interpolate_files(tmp_path / "store", *files, 4, files[0])
    assert read_midi(files[0]).num_bars == 3


def test_a_vae_of_bars_is_refused(make_vae_store, files, tmp_path):
    made = make_vae_store("synthetic")
    made.vae.config = made.vae.config.model_copy(update={"granularity": "bar"})
    ref = made.commit("train_vae", made.training("vae", "bar"), {}, made.STEPS, key="c" * 64)
    made.store.record_run("bars", {"train_vae": ref}, {})
    with pytest.raises(ConfigurationError, match="has latents of a bar; this needs"):
        interpolate_files(made.store.root, *files, 4, tmp_path / "between")
    assert not (tmp_path / "between").exists()
