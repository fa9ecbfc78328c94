"""Files that commands are given: what is said of them, and how a model gets them."""

import numpy as np
import pytest
import torch

from phrase_models.codec import PhraseCodec
from phrase_models.errors import ConfigurationError
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track
from phrase_models.vae.config import VAEConfig
from phrase_models.vae.model import PhraseVAE
from tasks.music.reading import list_tracks, open_files, read_file, read_for_model, read_of_many

TRIPLETS = Song(
    "triplets",
    1,
    (
        Track(MELODY, tuple(Note(step, 72, 4) for step in (0, 4, 8, 12))),
        Track(PIANO, tuple(Note(0, pitch, 12) for pitch in range(40, 60))),
    ),
    (),
    100.0,
)


@pytest.fixture
def path(tmp_path):
    write_midi(TRIPLETS, tmp_path / "triplets.mid", key="Ebm")
    return tmp_path / "triplets.mid"


@pytest.fixture
def make_codec():
    def make(grid: int) -> PhraseCodec:
        torch.manual_seed(0)
        sizes = {"model_dim": 16, "feedforward_dim": 32, "num_heads": 2, "head_dim": 8}
        sizes |= {"num_encoder_layers": 1, "num_decoder_layers": 1, "num_queries": 2}
        config = VAEConfig(**sizes, latent_dim=4, dropout=0.0, max_tokens=24, grid=grid)
        return PhraseCodec(PhraseVAE(config), "role")

    return make


@pytest.mark.parametrize(("grid", "onsets"), [(16, [0, 3, 9, 12]), (48, [0, 4, 8, 12])])
def test_the_grid_is_the_models_own_and_what_it_moves_and_cuts_is_said(
    path, make_codec, capsys, grid, onsets
):
    (read,) = read_for_model(make_codec(grid), open_files((path,)))
    assert [note.onset for note in read.song.tracks[0].notes] == onsets
    assert (read.key, read.report.share_kept, read.song.tempo_bpm) == ("Ebm", 1.0, 100.0)
    assert [len(track.notes) for track in read.song.tracks] == [4, 20]
    assert [len(track.notes) for track in read.fitting.tracks] == [4, 11]
    said = capsys.readouterr().err
    moved = "Melody: 4 notes moved onto the grid of 16 a bar, onset or end, by at most 0.083 beats."
    assert (moved in said) == (grid == 16)
    assert "Bar 1, piano: 20 notes are more than the model's longest phrase of 24 tokens" in said
    assert "The key is Ebm." in said


def test_a_song_that_is_encoded_without_a_report_warns_of_what_is_cut(make_codec):
    codec = make_codec(48)
    with pytest.warns(UserWarning, match="Bar 1, piano: 20 notes are more"):
        latents = codec.encode_song(TRIPLETS)
    fitting, cuts = codec.within_limit(TRIPLETS)
    assert len(cuts) == 1
    assert np.array_equal(codec.encode_song(fitting), latents)


def test_models_from_before_the_grid_was_saved_know_16ths():
    sizes = {"model_dim": 16, "feedforward_dim": 32, "num_heads": 2, "head_dim": 8}
    sizes |= {"num_encoder_layers": 1, "num_decoder_layers": 1, "num_queries": 2}
    assert VAEConfig(**sizes, latent_dim=4, dropout=0.0, max_tokens=24).grid == 16


def test_of_two_files_a_choice_must_be_about_one(path, tmp_path, capsys):
    other = Song("other", 1, (Track(PIANO, (Note(0, 60, 12),)),))
    write_midi(other, tmp_path / "other.mid")
    files = (path, tmp_path / "other.mid")
    opened = open_files(files, ("Melody=bridge",))
    assert [[track.becomes for track in item.tracks] for item in opened] == [[25, 0], [0]]
    with pytest.raises(ConfigurationError) as caught:
        open_files(files, ("Flute=bridge",))
    assert str(caught.value) == (
        "There is no track 'Flute' with notes: triplets.mid has 1 'Melody', 2 'Piano'; "
        "other.mid has 1 'Piano'."
    )
    assert list_tracks(files).splitlines() == [
        "triplets.mid: 2 tracks with notes",
        "  Track 1 'Melody' (channel 1, program 73): 4 notes -> melody, by its name",
        "  Track 2 'Piano' (channel 3, program 0): 20 notes -> piano, by its name",
        "other.mid: 1 tracks with notes",
        "  Track 1 'Piano' (channel 3, program 0): 1 note -> piano, by its name",
    ]
    assert capsys.readouterr().err == ""


def test_of_many_files_a_line_is_said_of_those_that_lose_notes(path, tmp_path, capsys):
    assert read_of_many(path).song.num_notes == 24
    assert capsys.readouterr().err == ""
    notes = (Note(0, 60, 12),)
    parts = (Track(MELODY, notes), Track(25, notes), Track(PIANO, notes), Track(40, notes))
    write_midi(Song("four", 1, parts), tmp_path / "four.mid")
    assert [track.program for track in read_of_many(tmp_path / "four.mid").song.tracks] == [
        13,
        25,
        0,
    ]
    assert capsys.readouterr().err == ("four.mid: 3 of 4 notes kept (75.0 %), left out track 4\n")


def test_one_part_of_two_tracks_is_said(path, capsys):
    song = read_file(path, ("1=piano", "2=piano")).song
    assert [(track.program, len(track.notes)) for track in song.tracks] == [(PIANO, 24)]
    assert "  Tracks 1 and 2 are one part: piano.\n" in capsys.readouterr().err


def test_the_list_of_tracks_says_when_the_file_would_be_refused(path):
    meter = b"\xff\x58\x04"
    content = path.read_bytes()
    assert content.count(meter + b"\x04") == 1
    path.write_bytes(content.replace(meter + b"\x04", meter + b"\x03"))
    *_, last = list_tracks([path]).splitlines()
    assert last.startswith("It would be refused: ")
    assert "is in 3/4 from bar 1" in last
