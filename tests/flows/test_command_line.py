"""What a user may get wrong: one plain sentence, exit code 2, nothing lost."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows.start import main
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track
from phrase_models.sources.synthetic.composer import SyntheticConfig
from phrase_models.sources.synthetic.files import write_corpus
from tasks.interruption import ADVICE


@pytest.fixture(autouse=True)
def no_tracking(monkeypatch):
    monkeypatch.setenv("PHRASELDM_TRACKING", "off")


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


def small_song() -> Song:
    melody = Track(MELODY, (Note(0, 72, 12), Note(12, 74, 6), Note(48, 76, 24)))
    piano = Track(PIANO, (Note(0, 48, 48), Note(0, 60, 24), Note(60, 64, 12)))
    return Song("small", 2, (melody, piano), (), 100.0)


@pytest.fixture
def midi(tmp_path) -> Path:
    path = tmp_path / "small.mid"
    write_midi(small_song(), path)
    return path


def test_form_and_texture_of_a_file_are_printed(monkeypatch, capsys, midi):
    for command, rows in {
        "form": ["melody  * *", "bridge  . .", "piano   * *"],
        "texture": ["  223ii   .       127ae   # 1", "  113jj   .       112ff   # 2"],
    }.items():
        code, out, _ = call(monkeypatch, capsys, command, midi)
        assert code == 0
        assert [line for line in out.splitlines() if line and line[0] != "#"] == rows
    code, out, _ = call(monkeypatch, capsys, "texture", midi, "--list-tracks")
    assert (code, out.splitlines()[0]) == (0, "small.mid: 2 tracks with notes")


def test_tokenize_and_detokenize_are_inverse(monkeypatch, capsys, midi, tmp_path):
    code, text, _ = call(monkeypatch, capsys, "tokenize", midi)
    assert code == 0
    first = "i-13 o-0 p-72 d-12 o-12 p-74 d-6 i-0 o-0 p-60 d-24 p-48 d-48 b-1"
    assert text.strip() == f"{first} i-13 o-0 p-76 d-24 i-0 o-12 p-64 d-12 b-1"
    (tmp_path / "t.txt").write_text(text)
    code, _, _ = call(
        monkeypatch, capsys, "detokenize", tmp_path / "t.txt", "-o", tmp_path / "b.mid"
    )
    assert code == 0
    assert call(monkeypatch, capsys, "tokenize", tmp_path / "b.mid")[1] == text


def truncated(midi: Path) -> None:
    midi.write_bytes(midi.read_bytes()[:60])


def text_file(midi: Path) -> None:
    midi.write_text("these are words, not music")


def without_notes(midi: Path) -> None:
    write_midi(Song("none", 1, (), (), 90.0), midi)


def missing(midi: Path) -> None:
    midi.unlink()


@pytest.mark.parametrize("spoil", [truncated, text_file, without_notes, missing])
def test_a_bad_midi_file_is_one_sentence(monkeypatch, capsys, midi, spoil):
    spoil(midi)
    code, out, err = call(monkeypatch, capsys, "tokenize", midi)
    assert (code, out) == (2, "")
    assert str(midi) in err
    assert len(err.strip().splitlines()) == 1


def test_tokens_that_are_none_are_named(monkeypatch, capsys, tmp_path):
    (tmp_path / "t.txt").write_text("i-0 o-0 p-60 d-12 q-7 b-1")
    code, _, err = call(monkeypatch, capsys, "detokenize", tmp_path / "t.txt", "-o", tmp_path / "b")
    assert code == 2
    assert "q-7" in err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "huge"], "There is no preset 'huge'"),
        (["--set", "vae.latent_dim"], "is not of the form section.key=value"),
        (["--set", "vae.latent_dim=0"], "vae.latent_dim = 0 does not do"),
        (["--set", "vae.size=3"], "There is no setting 'vae.size'"),
        (["--source", "pop909"], "Source pop909 needs --data"),
        (["--source", "radio"], "source.name = 'radio' does not do"),
        (["--refresh", "everything"], "There is no stage 'everything'"),
        (["--until", "lunch"], "--until 'lunch' is not one of data, vae, latents, diffusion,"),
    ],
)
def test_an_impossible_run_is_refused_before_anything_starts(
    monkeypatch, capsys, tmp_path, arguments, words
):
    code, _, err = call(monkeypatch, capsys, "run", "--store", tmp_path / "store", *arguments)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_an_empty_data_folder_is_one_sentence(monkeypatch, capsys, tmp_path):
    (tmp_path / "data").mkdir()
    code, _, err = call(
        monkeypatch, capsys, "prepare", "--source", "pop909", "--data", tmp_path / "data",
        "--store", tmp_path / "store",
    )  # fmt: skip
    assert code == 2
    assert "There is no folder POP909-Dataset/POP909" in err


def test_a_store_without_models_says_what_to_run(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tasks.music.songs.RELEASE", tmp_path / "absent")
    code, _, err = call(
        monkeypatch, capsys, "generate", "--store", tmp_path / "store", "-o", tmp_path / "out"
    )
    assert code == 2
    assert "run the pipeline first" in err
    assert not (tmp_path / "out").exists()


def test_a_newer_store_is_refused(monkeypatch, capsys, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "store.json").write_text('{"schema_version": 99}')
    code, _, err = call(monkeypatch, capsys, "prepare", "--store", store, "--preset", "smoke")
    assert code == 2
    assert "99" in err


def spoiled_corpus(folder: Path) -> None:
    """Six good songs of which four are spoiled, and one that is listed but gone."""
    write_corpus(folder, SyntheticConfig(num_songs=6, seed=1, min_bars=20, max_bars=24))
    midis, analysis = (
        folder / "POP909-Dataset/POP909",
        folder / "hierarchical-structure-analysis/POP909",
    )
    ids = sorted(path.name for path in midis.iterdir() if path.is_dir())
    truncated(midis / ids[0] / f"{ids[0]}.mid")
    text_file(midis / ids[1] / f"{ids[1]}.mid")
    (analysis / ids[2] / "human_label1.txt").unlink()
    (analysis / ids[3] / "human_label1.txt").write_text("i4A8?B8\n")
    shutil.rmtree(midis / ids[4])


def test_bad_songs_are_quarantined_and_the_rest_goes_on(monkeypatch, capsys, tmp_path):
    import polars as pl

    spoiled_corpus(tmp_path / "data")
    code, out, _ = call(
        monkeypatch, capsys, "prepare", "--source", "pop909", "--data", tmp_path / "data",
        "--store", tmp_path / "store", "--workers", 1,
    )  # fmt: skip
    assert code == 0
    table = next((tmp_path / "store/artifacts/tokenise_songs").glob("*/songs.parquet"))
    songs = pl.read_parquet(table).sort("song_id")
    assert songs["reason"].to_list() == [
        "bad_midi", "bad_midi", "missing_file", "bad_label", "missing_folder", "ok",
    ]  # fmt: skip
    assert songs["accepted"].sum() == 1
    details = songs["detail"].to_list()
    assert all(detail and "\n" not in detail for detail in details[:5])
    assert "human_label1.txt" in details[2]
    assert "?" in details[3]
    assert "5 songs read, 1 accepted" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "vae", "vae", "--precision", "fp8"], "no precision 'fp8'"),
        (["export", "vae", "vae"], "There is no store at store: run the pipeline"),
        (["export", "vae", "."], "holds small.mid and is no release"),
        (["export", "ldm", "ldm", "--precision", "fp8"], "no precision 'fp8'"),
        (["export", "ldm", "ldm"], "There is no store at store: run the pipeline"),
        (["export", "ldm", "."], "holds small.mid and is no release of a PhraseLDM"),
        (["ui"], "There is no store at store: run the pipeline"),
        (["generate", "--form", "none.txt"], "There is no file none.txt"),
        (["generate", "--texture", "none.txt"], "There is no file none.txt; `phraseldm texture`"),
        (["generate", "--texture", "small.mid"], "small.mid is no text file with a texture"),
        (["form", "none.mid"], "There is no MIDI file none.mid"),
        (["texture", "none.mid"], "There is no MIDI file none.mid"),
        (["generate", "--bars", "0"], "'--bars': it must be greater than or equal to 1;"),
        (["report", "--table", "5"], "There is no store at store: run the pipeline"),
        (["generate", "-o", "small.mid"], "small.mid is a file; name a folder for the songs."),
        (["form", "none.json"], "none.json is no songs.json"),
        (["generate", "--form", "small.mid"], "small.mid is no text file with a form"),
        (["generate", "--model", "none"], "none is no release of PhraseLDM"),
        (["interpolate", "small.mid", "none.mid", "-o", "out"], "There is no MIDI file none.mid"),
        (["interpolate", "small.mid", "small.mid", "-o", "small.mid"], "small.mid is a file"),
    ],
)
def test_what_cannot_be_exported_made_or_interpolated_is_one_sentence(
    monkeypatch, capsys, midi, tmp_path, arguments, words
):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["small.mid"]


def test_without_a_store_the_released_vae_is_taken_and_named(monkeypatch, capsys, midi, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(monkeypatch, capsys, "reconstruct", "small.mid", "-o", "back.mid")
    assert code == 0
    assert "wrote back.mid" in out
    assert "There is no PhraseVAE in store: taking the one in" in err
    assert "phrase-vae-64" in err


SLOW_IMPORTS = """
import signal, sys, time
from importlib.abc import MetaPathFinder

class Slow(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "typer":
            print("imports", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
signal.signal(signal.SIGINT, signal.default_int_handler)
from flows.start import main
main()
"""


def test_ctrl_c_is_heard_while_the_command_line_is_imported():
    command = [sys.executable, "-c", SLOW_IMPORTS]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "imports\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == f"{ADVICE}\n"
