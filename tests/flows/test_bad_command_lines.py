"""Three hundred bad command lines: each is refused in a sentence, at once and in little memory.

The commands and their options are read from the program, so that a new one is among them.
"""

import os
import random
import resource
import subprocess
import sys
import time
import typing
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
import typer

from flows.__main__ import app
from flows.start import main
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track

NUM_LINES = 300
MAX_SECONDS = 10.0
MAX_BYTES = 2**30
ROOT = Path(__file__).resolve().parents[2]
DIGITS = "9" * 5000

NO_NUMBERS = ("nan", "inf", "-inf", "", "one", "1e9999", DIGITS + "x", "0x10", "1;2", "--")
NO_PATHS = ("", "s3://bucket/songs", "file:///tmp/songs", "https://x.y/z", "n" * 300, "d/" * 3000)
NO_STORES = (
    *(
        "",
        "https://x.y/z",
        "gs://bucket/store",
        "s3://",
        "s3:/bucket",
        "s3://b/../c",
        "s3://k:s@b/c",
    ),
    *("s3://bucket/store?x=1", "file://host/store", "n" * 300, "d/" * 3000),
)
NO_OUTPUTS = ("file.txt/x", "/proc/self/x", "n" * 250, "song.mid/songs/deep")
NO_SETTINGS = (
    *("", "seed", "=", "=1", "a.b=1", "vae=1", "vae.latent_dim=", "vae.latent_dim=NaN"),
    *("vae.dropout=nan", "vae.dropout=NaN", "vae.dropout=Infinity", "vae.dropout=-0.5"),
    *(f"seed={DIGITS}", f"vae.latent_dim={DIGITS}", "vae.latent_dim=1e99", "vae.latent_dim=[1]"),
    *("vae.model_dim=1000000000", "denoiser.model_dim=8000000", "denoiser.num_layers=1000000"),
    *("vae.feedforward_dim=1e12", "vae.num_heads=123456789", "denoiser.max_bars=1000000000"),
    *("generation.num_songs=1000000000", "generation.num_bars=1000000000", "a" * 5000 + "=1"),
    *("generation.sampler.guidance_scale=Infinity", "generation.sampler.num_sampling_steps=-1"),
    *("generation.audio_seconds=Infinity", "generation.tempo_bpm=NaN", "generation.seed=x"),
    *("source.synthetic.num_songs=1000000000", "source.name=radio", "source.synthetic.seed=-1"),
    *("bottleneck.training.learning_rate=Infinity", "bottleneck.training.batch_size=9999999999"),
    *("denoiser.bar_lags=" + "[" * 5000, "denoiser.bar_lags=[99999999999]", "preset.x.y=1"),
    *("infilling=x", "denoiser={}", "ingest.max_loss=NaN", "split.validation_fraction=0", "é=1"),
    *("evaluation.num_reference_songs=1", "diffusion.further_ema_decays=[NaN]", "vae.vae.vae=1"),
    *("noise_schedule.num_timesteps=1000000000", "latents.refinement.num_steps=x"),
)
NO_WORDS = {
    "preset": ("", "huge", "Smoke", DIGITS),
    "source": ("", "radio", DIGITS),
    "until": ("", "lunch", "metrics "),
    "precision": ("", "fp8", "int4"),
    "generator": ("", "transformer", DIGITS),
    "key": ("", "H", "C##", "X#", DIGITS),
    "plans": ("", "random", "Drawn"),
    "sections": ("", "A", "A0", "A-4", "4A", "A4B", f"A{DIGITS}", "A1000000000", "A8 " * 2000),
    "chords": ("", "|", "C | Xyz", "C G D", "C " * 4000, "C | " * 2400 + "C", DIGITS),
    "setting": NO_SETTINGS,
    "over": (*NO_SETTINGS, "vae.latent_dim=8,nan", "vae.latent_dim=,", "seed=1,2"),
    "refresh": ("", "everything", "Train_vae", DIGITS),
    "stage": ("", "lunch", "train", DIGITS),
    "table": ("0", "6", "-1", "1.5", *NO_NUMBERS),
    "bars": ("0", "-0", "-1", "1000000000", DIGITS, "2.5"),
    "number": ("0", "-0", "1000000000", DIGITS),
    "steps": ("0", "-0", "1000000000", DIGITS),
    "workers": ("0", "1000000000", DIGITS),
    "points": ("0", "1", "100", DIGITS),
    "tempo": ("0", "-0", "-1", "1e300", DIGITS),
    "guidance": ("-1", "1e300", DIGITS),
    "second_pass": ("-1", "1.5", "1e300", DIGITS),
    "variation": ("-1", "1.5", "1e300", DIGITS),
    "song": (DIGITS,),
    "seed": (DIGITS,),
    "keep": ("", "drums", "Melody ", DIGITS),
    "host": ("", "300.1.1.1", "no such host", "http://127.0.0.1", DIGITS),
    "port": ("-1", "65536", DIGITS),
    "threads": ("0", "257", DIGITS),
    "queue_size": ("0", "1001", DIGITS),
    "timeout": ("0", "1e300", DIGITS),
    "form": ("missing", "song.mid", "folder", "empty.txt", "file.txt", "binary"),
    "texture": ("missing", "song.mid", "folder", "empty.txt", "file.txt", "binary"),
    "tokens": ("missing", "song.mid", "folder", "empty.txt", "file.txt", "binary"),
    "file": ("missing", "folder", "file.txt", "empty.txt", "binary", "missing.json", "file.json"),
    "first": ("missing", "folder", "file.txt", "empty.txt", "binary"),
    "second": ("missing", "folder", "file.txt", "empty.txt", "binary"),
    "model": ("missing", "file.txt", "folder", "song.mid"),
    "vae": ("missing", "file.txt", "folder", "song.mid"),
    "output": (*NO_OUTPUTS, "file.txt"),
    "folder": (*NO_OUTPUTS, "file.txt", "full"),
}
"""What an option of a name cannot be, beside what no option of its type can be."""
ARGUMENTS = {
    **dict.fromkeys(("file", "first", "second"), "song.mid"),
    **dict.fromkeys(("folder", "output"), "new"),
    "tokens": "tokens.txt",
    "stage": "train_vae",
    "over": "vae.latent_dim=8,16",
    "key": "a" * 20,
}
"""Sound values of what some command requires."""


def commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name), command


def type_of(command: Any, name: str) -> type:
    hint = typing.get_type_hints(command.callback)[name]
    kinds = [item for item in typing.get_args(hint) if item is not NoneType] or [hint]
    return kinds[0]


def bad_values(command: Any, parameter: Any) -> tuple[str, ...]:
    if parameter.name == "store":
        return NO_STORES
    kind = type_of(command, parameter.name)
    of_type = {int: NO_NUMBERS, float: NO_NUMBERS, Path: NO_PATHS}.get(kind, ("",))
    return (*NO_WORDS.get(parameter.name, ()), *of_type)


def spelt(parameter: Any, value: str) -> list[str]:
    return [parameter.opts[-1], value] if parameter.opts[0].startswith("-") else [value]


def sound_words(command: Any, without: str = "") -> list[str]:
    needed = [item for item in command.params if item.required and item.name != without]
    return [word for item in needed for word in spelt(item, ARGUMENTS[item.name])]


def bad_line(generator: random.Random) -> list[str]:
    """A command with one thing in it that cannot be."""
    words, command = generator.choice(list(commands(typer.main.get_command(app))))
    valued = [item for item in command.params if type_of(command, item.name) is not bool]
    fault = generator.choice(["value"] * 8 + ["option", "command", "missing", "extra"])
    if fault == "command":
        return [*words[:-1], generator.choice([words[-1] + "s", words[-1].upper(), DIGITS, "é"])]
    if fault == "missing" and any(item.required for item in command.params):
        return [*words]
    if fault == "extra":
        return [*words, *sound_words(command), "one", "more", "and another"]
    if fault == "option":
        return [*words, *sound_words(command), generator.choice(["--what", "-z", "--stor", "--=1"])]
    parameter = generator.choice(valued)
    value = generator.choice(bad_values(command, parameter))
    return [*words, *sound_words(command, parameter.name), *spelt(parameter, value)]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a little of everything, none of it a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHRASELDM_TRACKING", "off")
    melody, piano = Track(MELODY, (Note(0, 72, 12),)), Track(PIANO, (Note(0, 48, 48),))
    write_midi(Song("song", 1, (melody, piano)), tmp_path / "song.mid")
    (tmp_path / "tokens.txt").write_text("i-0 o-0 p-60 d-12 b-1")
    (tmp_path / "file.txt").write_text("these are words, not music")
    (tmp_path / "file.json").write_text('{"index": [1]}')
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "folder").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    return tmp_path


def shown(words: list[str]) -> str:
    return " ".join(word if len(word) < 60 else f"{word[:50]}[{len(word)}]" for word in words)


def called(words: list[str], monkeypatch, capsys) -> tuple[object, str]:
    """Exit code, or the error that came through, and standard error."""
    monkeypatch.setattr(sys, "argv", ["phraseldm", *words])
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except Exception as error:  # a traceback, for the user
        code = repr(error)[:200]
    return code, capsys.readouterr().err


def test_bad_command_lines_are_refused_in_a_sentence(place, monkeypatch, capsys):
    for first in (["explain", "none"], ["generate", "--key", "none"], ["report"]):
        called(first, monkeypatch, capsys)  # what they import is not counted as a line's

    generator = random.Random(0)
    lines = [bad_line(generator) for _ in range(NUM_LINES)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    before = sorted(place.rglob("*"))
    faults = {}
    for words in lines:
        begin = time.monotonic()
        code, said = called(words, monkeypatch, capsys)
        seconds = time.monotonic() - begin
        if code != 2 or len(said.strip()) < 15 or seconds > MAX_SECONDS or len(said) > 2000:
            faults[shown(words)] = code, round(seconds, 1), said[:300]
        elif len(said.strip().splitlines()) > 1 or "pydantic" in said:
            faults[shown(words)] = "no sentence", said[:300]
    assert faults == {}
    assert sorted(place.rglob("*")) == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - peak < MAX_BYTES
    assert len({words[0] for words in lines}) > 15


@pytest.mark.parametrize("setting", NO_SETTINGS)
def test_no_setting_gets_past_the_first_look(place, monkeypatch, capsys, setting):
    code, said = called(["explain", "train_vae", "--set", setting], monkeypatch, capsys)
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert "input" not in said.lower()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["generate", "--bars", DIGITS],
        ["generate", "--store", "gs://bucket/store"],
        ["run", "--set", "vae.dropout=NaN"],
        ["detokenize", "tokens.txt", "-o", "file.txt"],
    ],
)
def test_they_are_as_a_process_of_its_own_in_any_locale(place, words):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "flows", *words],
        capture_output=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stdout) == (2, b"")
    assert len(result.stderr.decode().strip().splitlines()) == 1
