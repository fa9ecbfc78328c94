"""`phraseldm accompany`: from a file to a file, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import BadMidiError, ConfigurationError
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.score.midi import read_midi
from phrase_models.score.midi_writer import midi_bytes, write_midi
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track, parse_section_layout
from phrase_models.score.transforms import transpose
from storage.errors import NotWritable
from tasks.music.accompaniment import (
    Accompaniment,
    accompany_file,
    hear,
    kept_roles,
    open_upload,
)
from tasks.reports.ldm_release import assemble_release

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)  # C major
SONG = Song(
    "mine",
    8,
    (
        Track(MELODY, tuple(Note(48 * b, p, 30, 70 + b) for b, p in enumerate(SCALE))),
        Track(PIANO, tuple(Note(48 * b, p - 24, 48) for b, p in enumerate(SCALE))),
    ),
    parse_section_layout("A4 B4"),
    104.0,
)
ASKED = Accompaniment(kept_roles(["melody"]), seed=1, sampling={"num_sampling_steps": 2})


@pytest.fixture
def release(planned_pair, tmp_path):
    assemble_release(planned_pair.vae, planned_pair.ldm, "", tmp_path / "release")
    return tmp_path / "release"


@pytest.fixture
def path(tmp_path):
    write_midi(SONG, tmp_path / "mine.mid", key="Am")
    return tmp_path / "mine.mid"


def test_the_melody_stays_where_it_is_and_the_rest_is_new(release, path, tmp_path, capsys):
    said = accompany_file(tmp_path / "store", path, tmp_path / "out.mid", ASKED, model=release)
    written = read_midi(tmp_path / "out.mid")
    assert written.tracks[0] == SONG.tracks[0]
    assert written.tracks[1:] != SONG.tracks[1:]
    assert (written.num_bars, written.tempo_bpm, written.sections) == (8, 104.0, SONG.sections)
    assert said.startswith("melody 8 notes kept, ")
    assert said.endswith(f" in 8 bars; wrote {tmp_path / 'out.mid'}")
    err = capsys.readouterr().err
    assert "mine.mid: 16 of 16 notes kept (100.0 %)" in err
    assert "By its notes it is in C major or its relative minor." in err


def test_a_file_is_moved_to_c_by_its_notes_and_chords_are_named_in_its_key(planned_pair):
    generator = PhraseLDMGenerator.load(
        planned_pair.vae, planned_pair.ldm, digest="d" * 64,
        sampler=SamplerConfig(num_sampling_steps=2),
    )  # fmt: skip
    upload = open_upload(midi_bytes(transpose(SONG, -5), key="C"))
    file = hear(upload, generator.codec)
    assert file.song == replace(SONG, song_id="upload")
    assert file.semitones == -5
    assert file.said[-1].endswith("By its notes it is in G major or its relative minor.")
    asked = Accompaniment(ASKED.roles, chords="G | " * 7 + "D")
    chords = asked.write(generator, file).request.chords
    assert np.array_equal(chords, [[1, 1]] * 7 + [[29, 29]])


@pytest.mark.parametrize(
    ("asked", "role_map", "words"),
    [
        (Accompaniment(kept_roles(["bridge"])), (), "There is no bridge to keep in the file"),
        (Accompaniment((MELODY,), sections="A9"), (), "has 9 bars but 8 were asked for"),
        (Accompaniment((MELODY,), chords="C | H"), (), "'H' is no chord"),
        (Accompaniment((MELODY,), sampling={"guidance_scale": -1.0}), (), "--guidance -1.0"),
        (ASKED, ("Track 9=melody",), "There is no track 'Track 9' with notes"),
    ],
)
def test_what_cannot_be_written_is_a_sentence(release, path, tmp_path, asked, role_map, words):
    with pytest.raises(ConfigurationError) as error:
        accompany_file(tmp_path, path, tmp_path / "o.mid", asked, model=release, role_map=role_map)
    assert words in str(error.value)
    assert not (tmp_path / "o.mid").exists()


def test_a_file_that_is_there_is_replaced_by_force_alone(release, path, tmp_path):
    with pytest.raises(NotWritable, match="exists already"):
        accompany_file(tmp_path, path, path, ASKED, model=release)
    accompany_file(tmp_path, path, path, ASKED, model=release, force=True)
    assert read_midi(path).tracks[0] == SONG.tracks[0]


def test_an_upload_is_read_as_a_file_is_and_names_no_path():
    opened = open_upload(midi_bytes(SONG), ("Piano=none",))
    assert [track.becomes for track in opened.tracks] == [MELODY, None]
    with pytest.raises(BadMidiError, match=r"^File upload.mid is no MIDI file"):
        open_upload(b"words")
    with pytest.raises(ConfigurationError, match="There is no track 'Flute'"):
        open_upload(midi_bytes(SONG), ("Flute=melody",))


@pytest.mark.parametrize("name", ["", "drums", "melody "])
def test_what_is_no_instrument_is_named(name):
    with pytest.raises(ConfigurationError, match="is no instrument; there are melody, bridge, pia"):
        kept_roles([name])
