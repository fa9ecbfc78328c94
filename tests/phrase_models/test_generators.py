"""Every generator of the list: made, written, read back and measured by the same functions."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from phrase_models.batch_writing import BatchSettings, write_batch
from phrase_models.errors import ConfigurationError
from phrase_models.generation_metrics import generated_song
from phrase_models.generator import GeneratedSong, SongRequest, request_from_layout
from phrase_models.generators import GENERATORS, generator_entry
from phrase_models.metrics.evaluation import evaluate_songs
from phrase_models.phrase_ldm import LatentsCache
from phrase_models.score.midi import read_midi
from phrase_models.score.song import Song
from phrase_models.song_batch import midi_path, read_batch

BASELINES = ("training_copies", "phrase_markov", "bar_shuffle")


def write(generator, folder, *, num_songs=3, semitones=0):
    settings = BatchSettings(num_songs, 4, SongRequest(), semitones, audio_seconds=0.5)
    return write_batch(generator, settings, folder, lambda *_: None)


def measure(songs, corpus):
    items = [generated_song(song, "role", corpus.reference[0].bar_end) for song in songs]
    return evaluate_songs(items, corpus.reference, corpus.training)


def same(song: GeneratedSong, other: GeneratedSong) -> bool:
    """Equal in all, latents included."""
    fields = replace(song, latents=None) == replace(other, latents=None)
    return fields and np.array_equal(song.latents, other.latents)


@pytest.fixture(scope="module", params=list(GENERATORS))
def generator(request, toy_corpus):
    return toy_corpus.generator(request.param)


class Replayed:
    """Hands out songs that are there already."""

    name, digest = "replayed", "e" * 64

    def __init__(self, songs):
        self.songs = songs

    def check(self, request):
        pass

    def generate(self, request, seed, index):
        return self.songs[index]


def test_song_k_of_a_seed_is_the_same_alone_and_in_any_order(generator):
    forwards = [generator.generate(SongRequest(), 4, index) for index in range(3)]
    backwards = [generator.generate(SongRequest(), 4, index) for index in (2, 1, 0)]
    for song, again in zip(forwards, reversed(backwards), strict=True):
        assert same(song, again)
    other_seed = [generator.generate(SongRequest(), 5, index).song.tracks for index in range(3)]
    assert other_seed != [song.song.tracks for song in forwards]


def test_a_batch_has_all_its_files_and_reads_back_exactly(generator, tmp_path):
    songs = write(generator, tmp_path, semitones=5, num_songs=2)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    expected = {"midi/song-000.mid", "midi/song-001.mid", "songs.json", "gallery.html"}
    if generator.name == "phrase_ldm":
        expected |= {"latents.safetensors"}
    assert files == expected
    again = read_batch(tmp_path)
    assert len(again) == 2
    for song, read in zip(songs, again, strict=True):
        assert same(song, read)
    described = json.loads((tmp_path / "songs.json").read_text())
    assert [item["generator"] for item in described] == [generator.name] * 2
    assert [item["num_notes"] for item in described] == [song.song.num_notes for song in songs]
    assert songs[0].provenance.encode() in midi_path(tmp_path, "song-000").read_bytes()
    assert "song-001" in (tmp_path / "gallery.html").read_text()


def test_the_songs_are_measured_by_the_same_evaluation(generator, toy_corpus, tmp_path):
    write(generator, tmp_path)
    results = {result.name: result for result in measure(read_batch(tmp_path), toy_corpus)}
    has_latents = generator.name == "phrase_ldm"
    for name in ("phrase_fid_official", "srs", "srs_official"):
        assert math.isnan(results[name].value) is not has_latents
    assert 0.0 < results["in_scale_rate"].value <= 1.0
    assert results["length_accuracy"].num_items == 3


def test_metrics_are_those_of_the_songs_before_they_are_transposed(generator, toy_corpus, tmp_path):
    for semitones in (0, 5):
        write(generator, tmp_path / str(semitones), semitones=semitones)
    in_c, moved = (read_batch(tmp_path / str(semitones)) for semitones in (0, 5))
    assert repr(measure(moved, toy_corpus)) == repr(measure(in_c, toy_corpus))
    lowest = [
        min(note.pitch for track in read_midi(path).tracks for note in track.notes)
        for path in (midi_path(tmp_path / str(semitones), "song-000") for semitones in (0, 5))
    ]
    assert lowest[1] == lowest[0] + 5


@pytest.mark.parametrize("num_bars", [4, 0])
def test_a_song_without_notes_stays_in(toy_corpus, tmp_path, num_bars):
    copies = toy_corpus.generator("training_copies")
    sounding = copies.generate(SongRequest(), 0, 0)
    sections = request_from_layout("A4").sections if num_bars else ()
    silent = GeneratedSong(1, SongRequest(8), Song("0-1", num_bars, (), sections), "silent")
    write(Replayed([sounding, silent]), tmp_path, num_songs=2)
    assert read_batch(tmp_path) == [sounding, silent]
    results = {result.name: result for result in measure(read_batch(tmp_path), toy_corpus)}
    assert results["length_accuracy"].value == 0.5
    assert results["in_scale_rate"].note == "undefined for 1 of 2 songs: 1 silent"


def test_a_song_without_latents_is_left_out_of_the_metrics_that_need_them(toy_corpus):
    generator = toy_corpus.generator("phrase_ldm")
    songs = [generator.generate(SongRequest(), 0, index) for index in range(3)]
    alone = {result.name: result for result in measure(songs[:2], toy_corpus)}
    songs[2] = replace(songs[2], latents=None)
    results = {result.name: result for result in measure(songs, toy_corpus)}
    assert results["srs_official"].value == alone["srs_official"].value
    assert results["srs_official"].note == "undefined for 1 of 3 songs"
    assert results["phrase_fid_official"].value == alone["phrase_fid_official"].value
    assert results["phrase_fid_official"].note.endswith("; 1 of 3 songs left out")


def test_an_open_request_has_one_plan_whatever_generator_meets_it(toy_corpus):
    generators = [toy_corpus.generator(name) for name in GENERATORS]
    lengths = sorted({song.num_bars for song in toy_corpus.songs})
    for request in (SongRequest(), *(SongRequest(length) for length in lengths)):
        for index in range(4):
            plans = {generator.generate(request, 7, index).request for generator in generators}
            assert len(plans) == 1
            assert plans.pop().sections


def test_phrase_ldm_goes_on_from_the_songs_that_were_finished(toy_corpus, tmp_path):
    whole = toy_corpus.generator("phrase_ldm").generate(SongRequest(6), 4, 1)
    kept = toy_corpus.generator("phrase_ldm", tmp_path)
    assert same(kept.generate(SongRequest(6), 4, 1), whole)
    cache = LatentsCache(tmp_path)
    cache.put(1, cache.get(1) + 1)
    resumed = toy_corpus.generator("phrase_ldm", tmp_path).generate(SongRequest(6), 4, 1)
    assert np.array_equal(resumed.latents, whole.latents + 1)  # taken from there, not drawn again


def test_phrase_ldm_names_its_model_in_the_file(toy_corpus):
    song = toy_corpus.generator("phrase_ldm").generate(SongRequest(6), 4, 1)
    assert song.provenance == "phraseldm seed 4 song 1 model dddddddddddd"
    assert song.latents.shape == (6, 3, 4)


@pytest.mark.parametrize("num_bars", [0, 500])
def test_a_length_that_cannot_be_met_is_refused(generator, num_bars):
    with pytest.raises(ConfigurationError, match=f"{num_bars} bars was asked for"):
        generator.check(SongRequest(num_bars))


def test_a_contradictory_request_is_refused():
    with pytest.raises(ConfigurationError, match="has 8 bars but 9 were asked for"):
        request_from_layout("A8", 9)


def test_an_unknown_generator_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigurationError, match="no generator 'choir'; there are phrase_ldm, "):
        generator_entry("choir")


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_has_the_name_it_is_listed_under(toy_corpus, name):
    assert toy_corpus.generator(name).name == name
    assert set(BASELINES) == set(GENERATORS) - {"phrase_ldm", "binomial"}
