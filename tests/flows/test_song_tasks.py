"""Harmonise, complete and vary from the command line, by a model that learnt nothing."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.__main__ import main
from phrase_models.binomial.config import (
    BinomialSamplerConfig,
    NoiseConfig,
    ObjectiveConfig,
    RollConfig,
    TimeNetworkConfig,
)
from phrase_models.binomial.dataset import RollDataset, RollSong
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.pretrained import save_binomial
from phrase_models.binomial.rolls import pack_bars
from phrase_models.score.midi import read_key, read_midi, read_texts
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Note, Song, Track

ROLL = RollConfig(lowest_pitch=40, num_pitches=48, segment_bars=4)
MELODY_TRACK = Track(MELODY, (Note(1, 74, 11, 80), Note(12, 78, 6, 70), Note(60, 81, 24, 90)))
SONG = Song(
    "small",
    4,
    (
        MELODY_TRACK,
        Track(BRIDGE, (Note(0, 62, 12, 90), Note(150, 66, 12, 90))),
        Track(PIANO, (Note(0, 50, 48, 90), Note(48, 55, 48, 90), Note(150, 57, 24, 90))),
    ),
    (),
    100.0,
)


@pytest.fixture(autouse=True)
def no_tracking(monkeypatch):
    monkeypatch.setenv("PHRASELDM_TRACKING", "off")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A folder as `save_binomial` writes it, of fresh weights."""
    folder = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(0)
    rows = pack_bars(rng.random((6, 64, 48)) < 0.05)
    dataset = RollDataset(
        ROLL, rows, (RollSong(song_id="x", split="train", first_row=0, num_bars=4),)
    )
    network = TimeNetworkConfig(step_dim=16, beat_dim=16, bar_dim=16, num_bar_layers=1, num_heads=2)
    made = BinomialDiffusion.for_dataset(
        dataset, NoiseConfig(num_timesteps=10), network, ObjectiveConfig(), seed=0
    )
    save_binomial(made, folder, BinomialSamplerConfig(num_sampling_steps=3))
    return folder


@pytest.fixture
def midi(tmp_path) -> Path:
    path = tmp_path / "small.mid"
    write_midi(SONG, path, key="D")
    return path


def call(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line."""
    monkeypatch.setattr(sys, "argv", ["phraseldm", *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def track(path: Path, program: int) -> tuple[Note, ...]:
    return next((track.notes for track in read_midi(path).tracks if track.program == program), ())


def test_harmonise_writes_variants_with_the_melody_as_it_was(
    monkeypatch, capsys, midi, model, tmp_path
):
    arguments = ("harmonise", midi, "-o", tmp_path / "out", "--model", model, "-n", 2)
    code, out, err = call(monkeypatch, capsys, *arguments)
    assert code == 0, err
    assert "small.mid: 8 of 8 notes kept" in err
    assert "The file's own bridge is ignored: 2 notes." in out
    assert "The file's own piano is ignored: 3 notes." in out
    assert f"Variants by the binomial diffusion in {model}" in out
    assert "The key is D: 100% of the sounding time is in its scale" in out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["gallery.html", "variant-01.mid", "variant-02.mid"]
    variants = [tmp_path / "out" / name for name in names[1:]]
    for variant in variants:
        assert track(variant, MELODY) == MELODY_TRACK.notes
        assert track(variant, PIANO)
        assert read_key(variant) == "D"
        assert read_midi(variant).tempo_bpm == 100
    assert variants[0].read_bytes() != variants[1].read_bytes()
    assert "seed 0 variant 0 binomial diffusion" in read_texts(variants[0])[0]
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "holds variants of a song already" in err
    before = variants[0].read_bytes()
    assert call(monkeypatch, capsys, *arguments, "--force")[0] == 0
    assert variants[0].read_bytes() == before


def test_the_gallery_shows_given_and_generated_notes_apart(
    monkeypatch, capsys, midi, model, tmp_path
):
    call(monkeypatch, capsys, "harmonise", midi, "-o", tmp_path / "out", "--model", model)
    page = (tmp_path / "out/gallery.html").read_text()
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])
    counts = {(part["program"], part["kind"]): len(part["notes"]) // 4 for part in data["tracks"]}
    assert counts[MELODY, "given"] == 3
    assert counts[MELODY, "generated"] == 0
    assert counts[PIANO, "given"] == 0
    assert counts[PIANO, "generated"] > 0
    assert 'class="shade given"' in page
    assert 'class="shade generated"' in page


def test_complete_keeps_all_but_the_hole(monkeypatch, capsys, midi, model, tmp_path):
    hole = ("--bars", "1-2", "--roles", "bridge,piano", "--pitches", "45-70")
    code, out, err = call(
        monkeypatch, capsys, "complete", midi, "-o", tmp_path / "out", "--model", model, *hole
    )
    assert code == 0, err
    assert "4 bars, 5 notes given," in out
    written = tmp_path / "out/variant-01.mid"
    assert track(written, MELODY) == MELODY_TRACK.notes
    piano = track(written, PIANO)
    assert Note(150, 57, 24, 90) in piano
    for note in set(piano) - {Note(150, 57, 24, 90)}:
        assert note.onset < 96
        assert 45 <= note.pitch <= 70


def test_vary_by_nothing_gives_the_song_back(monkeypatch, capsys, midi, model, tmp_path):
    code, out, err = call(
        monkeypatch, capsys, "vary", midi, "-o", tmp_path / "out", "--model", model,
        "--amount", 0,
    )  # fmt: skip
    assert code == 0, err
    assert "8 notes given, 0 generated" in out
    written = read_midi(tmp_path / "out/variant-01.mid")
    assert written.tracks == SONG.tracks


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("complete",), "Nothing is to be filled; say what, with --bars"),
        (("complete", "--bars", "3"), "--bars '3' is no range"),
        (("complete", "--bars", "4-9"), "Bars 4-9 are not in a song of 4 bars."),
        (("complete", "--roles", "bass"), "--roles has no 'bass'; there are melody, bridge"),
        (("complete", "--random", "1.5"), "--random"),
        (("vary", "--amount", "2"), "--amount"),
        (("vary", "--key", "H"), "There is no key 'H'"),
        (("harmonise", "--map", "Melody=none"), "small has no melody; say which track it is"),
        (("harmonise", "--model", "nowhere"), "There is no model nowhere; name binomial, or the"),
        (("harmonise", "--model", "flows"), "There is no binomial diffusion in flows"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    monkeypatch, capsys, midi, model, tmp_path, command, words
):
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    name, *options = command
    model_option = () if "--model" in options else ("--model", model)
    code, _, err = call(
        monkeypatch, capsys, name, midi, "-o", tmp_path / "out", *model_option, *options
    )
    assert code == 2
    assert words in err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_song_that_is_too_long_is_one_sentence(monkeypatch, capsys, model, tmp_path):
    path = tmp_path / "long.mid"
    notes = (Note(0, 72, 12), Note(129 * 48 - 12, 72, 12))
    write_midi(Song("long", 129, (Track(MELODY, notes),)), path)
    code, _, err = call(
        monkeypatch, capsys, "harmonise", path, "-o", tmp_path / "out", "--model", model
    )
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert last.endswith("has 129 bars, and the model writes songs of at most 128; cut it into "
                         "pieces first.")  # fmt: skip


def test_without_any_model_it_is_said_where_one_was_looked_for(monkeypatch, capsys, midi, tmp_path):
    monkeypatch.setattr("tasks.music.songs.BINOMIAL_RELEASE", tmp_path / "absent")
    code, _, err = call(
        monkeypatch, capsys, "vary", midi, "-o", tmp_path / "out", "--store", tmp_path / "store"
    )
    assert code == 2
    assert f"There is no binomial diffusion in {tmp_path / 'absent'}" in err


def test_generate_takes_the_family_or_its_folder_as_its_model(monkeypatch, capsys, model, tmp_path):
    monkeypatch.setattr("tasks.music.songs.BINOMIAL_RELEASE", model)
    monkeypatch.chdir(tmp_path)
    written = []
    for named in ("binomial", model):
        code, out, err = call(
            monkeypatch, capsys, "generate", "--model", named, "--bars", 4, "-o", "out", "--force"
        )
        assert code == 0, err
        assert f"Songs by the binomial diffusion in {model}" in out
        written.append((tmp_path / "out/midi/song-000.mid").read_bytes())
    assert written[0] == written[1]
    for options, words in (
        (("--guidance", 2), "Binomial diffusion has no guidance"),
        (("--generator", "bar_shuffle"), "say different things; give one"),
    ):
        code, _, err = call(
            monkeypatch, capsys, "generate", "--model", "binomial", "--bars", 4, "-o", "x",
            *options,
        )  # fmt: skip
        assert code == 2
        assert words in err


def test_list_tracks_says_what_would_become_of_each(monkeypatch, capsys, midi):
    code, out, _ = call(monkeypatch, capsys, "vary", midi, "--list-tracks")
    assert code == 0
    assert "small.mid: 3 tracks with notes" in out
