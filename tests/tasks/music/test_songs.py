"""`generate`, `form` and `texture`: whose models write, what is asked for, there and back."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.form.form_text import parse_form
from phrase_models.form.song_form import CellState
from phrase_models.form.texture_text import parse_texture, texture_text
from phrase_models.request_text import read_request
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import PIANO, Note, Song, Track, parse_section_layout
from phrase_models.song_batch import read_batch
from storage.errors import MissingArtifact
from tasks.interruption import Stopped
from tasks.music import songs
from tasks.music.song_plans import form_of_file, read_words, texture_of_file
from tasks.music.songs import generate
from tasks.reports.ldm_release import assemble_release
from tasks.settings.stages import GenerationConfig

FORM = "melody . * =2 ~2 | * *\nbridge * =1 . . =1 .\npiano * * =1 =2 ^1 *\n"


@pytest.fixture
def release(planned_pair, tmp_path) -> Path:
    assemble_release(planned_pair.vae, planned_pair.ldm, "", tmp_path / "release")
    return tmp_path / "release"


@pytest.fixture(autouse=True)
def no_release_beside_us(tmp_path, monkeypatch):
    monkeypatch.setattr(songs, "RELEASE", tmp_path / "absent")


def make(tmp_path, folder="out", store="store", **request):
    request = {
        "num_songs": 1,
        "audio_seconds": 0.2,
        "sampling": {"num_sampling_steps": 2},
    } | request
    generate(tmp_path / store, tmp_path / folder, **request)
    return read_batch(tmp_path / folder)


def test_a_store_comes_before_the_release_beside_us_and_a_named_one_before_both(
    pair_store, release, tmp_path, monkeypatch, capsys
):
    said = {}
    monkeypatch.setattr(songs, "RELEASE", release)
    for name, request in {
        "store": {},
        "beside": {"store": "no store"},
        "named": {"model": release},
    }.items():
        made = make(tmp_path, name, **request)
        said[name] = capsys.readouterr().out.replace("\n", " ")
        assert f"Gallery  {tmp_path / name / 'gallery.html'}" in said[name]
        said[name + " songs"] = made
    assert f"Songs by phrase_ldm of run 1 (smoke) in {tmp_path / 'store'}" in said["store"]
    for name in ("beside", "named"):
        assert f"Songs by the release in {release}" in said[name]
    beside, named = (said[f"{name} songs"][0].song for name in ("beside", "named"))
    assert beside == named
    assert not (tmp_path / "no store").exists()


def test_a_store_whose_newest_run_has_no_models_leaves_it_to_the_release(
    make_vae_store, release, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(songs, "RELEASE", release)
    made = make_vae_store("synthetic")
    made.store.record_run("vae", {"train_vae": made.refs["train_vae"]}, {"generation": {}})
    make(tmp_path)
    assert "the release in" in capsys.readouterr().out


def test_without_models_it_is_one_sentence(tmp_path):
    with pytest.raises(MissingArtifact, match="run the pipeline first, or name a release") as error:
        make(tmp_path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_form_and_chords_reach_the_song(release, tmp_path):
    (tmp_path / "form.txt").write_text(FORM)
    request = {"model": release, "sections": "A4 B2", "form": tmp_path / "form.txt"}
    song = make(tmp_path, chords="C | G | ? | C G | Am | N", **request)[0]
    assert song.request.form == parse_form(FORM)
    assert song.request.chords.tolist() == [[1, 1], [29, 29], [-1, -1], [1, 29], [38, 38], [0, 0]]
    assert read_request(tmp_path / "out" / "midi" / "song-000.mid") == song.request
    loosened = make(tmp_path, "loose", variation=1.0, **request)[0]
    assert not (loosened.request.form.states == CellState.REPEATS).any()
    page = (tmp_path / "out" / "gallery.html").read_text()
    assert "piano, bar 3: repeats bar 1" in page
    assert "plan obeyed" in page


def test_plans_are_drawn_unless_those_of_training_songs_are_asked_for(
    release, planned_pair, tmp_path
):
    drawn = make(tmp_path, "drawn", model=release, num_songs=2)
    taken = make(tmp_path, "taken", model=release, plans="training", num_songs=2)
    for folder, made, in_training in (("drawn", drawn, False), ("taken", taken, True)):
        said = json.loads((tmp_path / folder / "songs.json").read_text())
        assert [item["plans"] for item in said] == ["training" if in_training else "drawn"] * 2
        for song in made:
            assert (song.request.plan in planned_pair.plans) is in_training
            midi = tmp_path / folder / "midi" / f"{song.name}.mid"
            assert read_request(midi) == song.request


def test_a_store_of_a_run_without_priors_draws_no_plans(pair_store, tmp_path):
    with pytest.raises(ConfigurationError, match="these models come without priors"):
        make(tmp_path, plans="drawn")
    assert not (tmp_path / "out").exists()


def test_chords_are_named_in_the_key_that_is_written_in(release, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(songs, "write_batch", lambda _, settings, *__: asked.append(settings) or [])
    generate(tmp_path, tmp_path, model=release, num_songs=1, chords="G D | Em", key="G")
    assert asked[0].semitones == -5
    assert asked[0].request.chords.tolist() == [[1, 29], [38, 38]]


def test_a_form_alone_gives_the_length(release, tmp_path):
    (tmp_path / "form.txt").write_text(FORM)
    assert make(tmp_path, model=release, form=tmp_path / "form.txt")[0].request.num_bars == 6


def test_a_form_goes_out_is_edited_and_comes_back(release, tmp_path):
    first = make(tmp_path, "first", model=release, sections="i2 A4 A4")[0]
    text = form_of_file(tmp_path / "first" / "songs.json", 0)
    assert text.splitlines()[0] == "# phraseldm generate --sections 'i2 A4 A4' --form THIS_FILE"
    assert parse_form(text) == first.request.form
    edited = re.sub(
        r"(?m)^melody .*", lambda line: "melody" + " ." * (len(line[0].split()) - 1), text
    )
    (tmp_path / "edited.txt").write_text(edited)
    second = make(
        tmp_path, "second", model=release, sections="i2 A4 A4", form=tmp_path / "edited.txt"
    )[0]
    assert (second.request.form.states[:, 0] == CellState.SILENT).all()
    assert (second.request.form.states[:, 1:] == first.request.form.states[:, 1:]).all()
    assert parse_form(form_of_file(tmp_path / "second" / "songs.json", 0)) == second.request.form


def test_the_form_of_any_midi_file_is_that_of_its_notes(tmp_path):
    bars = ((0, 60), (48, 62), (96, 60), (144, 64))
    notes = tuple(Note(onset, pitch, 12) for onset, pitch in bars)
    write_midi(Song("x", 4, (Track(PIANO, notes),)), tmp_path / "x.mid")
    text = form_of_file(tmp_path / "x.mid", 0)
    (tmp_path / "form.txt").write_text(text)
    assert parse_form(read_words(tmp_path / "form.txt", "form")) == parse_form(
        "melody . . . .\nbridge . . . .\npiano * ^1 =1 ^2"
    )
    assert text.startswith("# phraseldm generate --form THIS_FILE\n")


def test_a_song_whose_form_was_left_open_has_that_of_its_notes(release, tmp_path):
    make(tmp_path, "out", model=release, sections="A4")
    path = tmp_path / "out" / "songs.json"
    items = json.loads(path.read_text())
    items[0]["form"] = None
    path.write_text(json.dumps(items))
    assert form_of_file(path, 0) == form_of_file(tmp_path / "out" / "midi" / "song-000.mid", 0)


def assert_one_sentence(tmp_path, words, **request):
    with pytest.raises(UserError) as error:
        make(tmp_path, sections="A8", **request)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FORM, "The form has 6 bars but the song 8; make them agree."),
        (
            "melody * *\nbridge . .\npiano =2 *",
            "Line 3 of the form: bar 1 of the piano repeats bar 2",
        ),
        ("melody * *\nbridge . .\npiano . =1", "repeats bar 1, where it is silent"),
        ("drums * *", "Line 1 of the form: 'drums' is no instrument"),
        (None, "There is no file"),
    ],
)
def test_a_form_that_cannot_be_met_is_one_sentence(release, tmp_path, text, words):
    if text is not None:
        (tmp_path / "form.txt").write_text(text)
    assert_one_sentence(tmp_path, words, model=release, form=tmp_path / "form.txt")


def test_a_texture_goes_out_is_edited_and_comes_back(release, tmp_path):
    first = make(tmp_path, "first", model=release, sections="i2 A4 A4")[0]
    text = texture_of_file(tmp_path / "first" / "songs.json", 0)
    command = "# phraseldm generate --sections 'i2 A4 A4' --texture THIS_FILE"
    assert text.splitlines()[0] == command
    assert np.array_equal(parse_texture(text), first.request.texture)
    edited = re.sub(r"(?m)^(  \S+ +)\S+", r"\1.    ", text)  # no bridge
    (tmp_path / "edited.txt").write_text(edited)
    second = make(tmp_path, "second", model=release, texture=tmp_path / "edited.txt")[0].request
    assert second.section_layout == "i2 A4 A4"  # by the headings
    assert np.array_equal(second.texture, parse_texture(edited))
    assert (second.form.states[:, 1] == CellState.SILENT).all()
    assert read_request(tmp_path / "second" / "midi" / "song-000.mid") == second


@pytest.mark.parametrize("asked", [". 865eg ? | . 865eg 1????", None])
def test_the_texture_of_a_song_is_what_was_asked_for_or_that_of_its_notes(release, tmp_path, asked):
    make(tmp_path, "out", model=release, sections="A2")
    path = tmp_path / "out" / "songs.json"
    items = json.loads(path.read_text())
    items[0] |= {"texture": asked, "requested_layout": ""}
    path.write_text(json.dumps(items))
    text, of_notes = (
        texture_of_file(file, 0) for file in (path, tmp_path / "out" / "midi" / "song-000.mid")
    )
    assert text == of_notes if asked is None else np.array_equal(*map(parse_texture, (text, asked)))


def test_the_texture_of_any_midi_file_is_that_of_its_notes_in_c(tmp_path, capsys):
    notes = tuple(Note(6 * place, 67 + step, 6) for place, step in enumerate((0, 2, 4, 5, 7, 9)))
    song = Song("x", 2, (Track(PIANO, notes),), parse_section_layout("A2"))
    write_midi(song, tmp_path / "x.mid", key="G")
    text = texture_of_file(tmp_path / "x.mid", 0)
    assert text.startswith("# phraseldm generate --key G --sections A2 --texture THIS_FILE\n")
    assert "Its key is G major" in capsys.readouterr().err
    # G to E are moved up to C5 to A5, 72 and 81: steps 1 + 51 // 3 and 1 + 60 // 3
    assert texture_text(parse_texture(text)) == ". . 654il | . . ."


def test_a_pitch_at_the_edge_of_midi_has_a_texture_in_every_key(tmp_path):
    notes = tuple(Note(6 * place, 67 + step, 6) for place, step in enumerate((0, 2, 4, 5, 7, 9)))
    for edge in (0, 127):
        lowest_or_highest = Track(PIANO, (*notes, Note(48, edge, 6)))
        song = Song("x", 2, (lowest_or_highest,), parse_section_layout("A2"))
        for key in ("G", "Gb"):
            write_midi(song, tmp_path / "x.mid", key=key)
            assert parse_texture(texture_of_file(tmp_path / "x.mid", 0)).shape == (2, 3, 5)


def test_form_and_texture_of_one_song_agree(release, tmp_path):
    make(tmp_path, "first", model=release, sections="A4 A4")
    midi = tmp_path / "first" / "midi" / "song-000.mid"
    files = {"form": tmp_path / "form.txt", "texture": tmp_path / "texture.txt"}
    files["form"].write_text(form_of_file(midi, 0))
    files["texture"].write_text(texture_of_file(midi, 0))
    made = make(tmp_path, "second", model=release, **files)[0].request
    assert made.form == parse_form(files["form"].read_text())
    assert np.array_equal(made.texture, parse_texture(files["texture"].read_text()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b". 865eg .\n" * 7, "There is a texture of 7 bars but the song has 8"),
        (b". 865eg\n" * 8, "The texture has 8 x 2 x 5 numbers"),
        (b". 8?eg .\n", "Line 1 of the texture, bar 1: '8?eg' is no cell"),
        (b"", "The texture holds no bar"),
        (bytes(range(256)), "is no text file with a texture; `phraseldm texture` prints one"),
        (None, "There is no file"),
    ],
)
def test_a_texture_that_cannot_be_met_is_one_sentence(release, tmp_path, text, words):
    if text is not None:
        (tmp_path / "texture.txt").write_bytes(text)
    assert_one_sentence(tmp_path, words, model=release, texture=tmp_path / "texture.txt")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"chords": "C | H"}, "'H' is no chord; write C, Am, Bdim, Gsus"),
        ({"chords": "C | G", "sections": "A4"}, "There are chords for 2 bars but the song has 4"),
        ({"chords": "C G F"}, "Bar 1 of the chords 'C G F' has 3 chords"),
        ({"key": "H"}, "There is no major key 'H'"),
        ({"generator": "bar_shuffle"}, "A release says itself what writes its songs"),
        ({"generator": "choir"}, "There is no generator 'choir'"),
        ({"tempo_bpm": 5.0}, "That cannot be asked for"),
        ({"plans": "stolen"}, "'training', 'lent' or 'drawn'"),
        ({"variation": 1.5, "sections": "A4"}, "it goes from 0 to 1"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(release, tmp_path, request_, words):
    with pytest.raises(ConfigurationError) as error:
        make(tmp_path, model=release, **request_)
    assert words in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "has no song 3; there are none"),
        ('{"a": 1}', "is no songs.json"),
        ("words", "is no songs.json"),
    ],
)
def test_a_song_that_is_not_described_has_no_form(tmp_path, content, words):
    (tmp_path / "songs.json").write_text(content)
    with pytest.raises(UserError, match=words):
        form_of_file(tmp_path / "songs.json", 3)


@pytest.mark.parametrize(
    ("after", "had", "words"),
    [
        (0, False, "no song was finished; run the same command to begin again"),
        (1, False, r"finished are in .*out \(1\), without a gallery; run the same .* --force"),
        (1, True, "the earlier songs in .*out stay as they were"),
    ],
)
def test_stopped_songs_say_what_is_there(release, tmp_path, monkeypatch, after, had, words):
    if had:
        make(tmp_path, model=release)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.mid")}

    def stopped(maker, settings, folder, report):
        for number in range(after):
            (folder / "midi").mkdir()
            (folder / "midi" / f"song-00{number}.mid").write_bytes(b"MThd")
        raise Stopped

    monkeypatch.setattr(songs, "write_batch", stopped)
    with pytest.raises(Stopped, match=words):
        make(tmp_path, model=release, num_songs=3, force=had)
    left = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.mid")}
    assert len(left) == after
    assert before.items() <= left.items()


def test_models_are_loaded_once_whatever_the_sampler(release, pair_store, tmp_path):
    for model in (release, None):
        models = songs.find_models(tmp_path / "store", model, "phrase_ldm")
        few, many = (
            models.build(GenerationConfig(num_songs=1, sampler={"num_sampling_steps": steps}))
            for steps in (2, 3)
        )
        assert few.model is many.model
        assert few.codec is many.codec
        assert [item.sampler.num_sampling_steps for item in (few, many)] == [2, 3]
