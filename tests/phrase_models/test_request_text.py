"""What a song was asked to be, in songs.json and in the MIDI file, comes back exactly."""

import json

import numpy as np
import pytest

from phrase_models.errors import BadMidiError, ConfigurationError
from phrase_models.form.form_text import parse_form
from phrase_models.generator import GeneratedSong, SongRequest, request_from_layout
from phrase_models.request_text import chords_of_text, read_request, request_texts
from phrase_models.score.midi import read_key, read_texts
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import MELODY, Note, Song, Track
from phrase_models.song_batch import midi_path, read_batch, write_descriptions, write_song

FORM = parse_form("melody * =1 ~1 .\nbridge . . * ^3\npiano * * =2 =2")
CHORDS = np.array([[1, 29], [38, 38], [0, 1], [-1, 5]])
TEXTURE = np.arange(12).reshape(4, 3, 1) + np.array([0, 1, 1, 2, 12])  # one cell with 0 alone
TEXTURE[0, 0], TEXTURE[2, 1, 2] = 0, -1
LAYOUT = "i1 A3"


def song_of(request: SongRequest, *, notes: bool = True) -> GeneratedSong:
    track = Track(MELODY, (Note(0, 60, 12),))
    tracks = (track,) if notes else ()
    song = Song("3-2", 4, tracks, request.sections, request.tempo_bpm)
    return GeneratedSong(2, request, song, "phraseldm seed 3 song 2 model abc")


REQUESTS = [
    request_from_layout(LAYOUT, None, 92.5, form=FORM, chords=CHORDS),
    request_from_layout(LAYOUT, form=FORM),
    request_from_layout(LAYOUT, chords=CHORDS),
    SongRequest(4, form=FORM),
    SongRequest(4, form=FORM, texture=TEXTURE),
    request_from_layout(LAYOUT),
    SongRequest(),
]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize(("semitones", "key"), [(0, "C"), (5, "F"), (-2, "Bb")])
def test_it_comes_back_from_both_files(tmp_path, request_, semitones, key):
    song = song_of(request_)
    write_song(song, semitones, tmp_path)
    write_descriptions([song], "phrase_ldm", semitones, tmp_path)
    assert read_request(midi_path(tmp_path, "song-002")) == request_
    assert read_batch(tmp_path) == [song]
    assert read_key(midi_path(tmp_path, "song-002")) == key


def test_it_comes_back_from_a_silent_song(tmp_path):
    write_song(song_of(REQUESTS[0], notes=False), 0, tmp_path)
    assert read_request(midi_path(tmp_path, "song-002")) == REQUESTS[0]


def test_the_texts_are_for_people_too():
    assert request_texts(REQUESTS[0], "phraseldm seed 3 song 2", 2) == (
        "phraseldm seed 3 song 2, tempo 92.5, bars 4, layout i1 A3",
        "# i1, bars 1 to 1\nmelody  *\nbridge  .\npiano   *\n\n"
        "# A3, bars 2 to 4\nmelody  =1 ~1 .\nbridge  .  *  ^3\npiano   *  =2 =2\n",
        "chords D A | Bm | N D | ? Eb",
    )
    assert request_texts(SongRequest(texture=TEXTURE[:1]), "p", 0)[1:] == ("texture . 1223d 2334e",)
    assert request_texts(SongRequest(), "p", 0) == ("p, tempo 90.0, bars open, layout ",)


def test_songs_json_has_the_form_as_a_grid_and_as_arrays(tmp_path):
    write_descriptions([song_of(REQUESTS[0])], "phrase_ldm", 2, tmp_path)
    item = json.loads((tmp_path / "songs.json").read_text())[0]
    assert item["form"]["grid"][:4] == [
        "# i1, bars 1 to 1", "melody  *", "bridge  .", "piano   *",
    ]  # fmt: skip
    assert item["form"]["states"] == FORM.states.tolist()
    assert item["form"]["sources"] == FORM.sources.tolist()
    assert item["chords"] == "D A | Bm | N D | ? Eb"


def test_descriptions_of_earlier_versions_have_neither(tmp_path):
    song = song_of(request_from_layout(LAYOUT))
    write_song(song, 0, tmp_path)
    write_descriptions([song], "phrase_ldm", 0, tmp_path)
    items = json.loads((tmp_path / "songs.json").read_text())
    for name in ("form", "chords", "texture"):
        del items[0][name]
    (tmp_path / "songs.json").write_text(json.dumps(items))
    assert read_batch(tmp_path) == [song]


def test_a_file_that_was_not_written_here_says_so(tmp_path):
    song = song_of(SongRequest()).song
    for texts in ((), ("a song of mine",)):
        write_midi(song, tmp_path / "x.mid", texts=texts)
        assert read_texts(tmp_path / "x.mid") == texts
        with pytest.raises(ConfigurationError, match="was not written here"):
            read_request(tmp_path / "x.mid")
    (tmp_path / "x.mid").write_text("words")
    with pytest.raises(BadMidiError, match="is no MIDI file"):
        read_request(tmp_path / "x.mid")


def test_chords_are_named_as_they_sound():
    assert chords_of_text("G D | Em | ?", 7).tolist() == [[1, 29], [38, 38], [-1, -1]]
    assert chords_of_text(None, 7) is None
    with pytest.raises(ConfigurationError, match="'H' is no chord"):
        chords_of_text("C | H", 0)
