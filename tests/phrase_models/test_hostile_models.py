"""Model folders from outside: three hundred hostile ones end in a sentence, quickly, in bounds."""

import json
import os
import random
import resource
import shutil
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phrase_models.codec import PhraseCodec
from phrase_models.errors import ConfigurationError, UserError
from phrase_models.form.plan_priors import PRIORS_FILE, PlanPriors
from phrase_models.generator import SongRequest
from phrase_models.phrase_ldm import PhraseLDMGenerator

NUM_FOLDERS = 300
LONGEST_SECONDS = 10.0
MOST_BYTES = 1 << 30
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    7,
    10**9,
    2**31,
    10**300,
    1.5,
    -0.0,
    1e-320,
    1e300,
    float("nan"),
    float("inf"),
    "",
    "8",
    "A9999999999",
    "x" * 1_000_000,
    "line\nbreak\x1b[31m",
    [],
    {},
    [[]] * 10_000,
    {"a": {"b": {"c": None}}},
)
"""What is put in the place of a value in a JSON file."""


# --------------------------------------------------------------------------- whole files
def remove(path: Path, rng: random.Random) -> None:
    path.unlink()


def empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def truncate(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def append(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.choice((1, 8, 1000))))


def randomise(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(2000))


def flip_bits(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 4, 64))):
        content[rng.randrange(min(len(content), 2000))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def make_folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def make_pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/proc/self/mem", "nowhere", path.name)))


def make_sparse(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.choice((1 << 24, 1 << 33, 1 << 40)))


def other_text(path: Path, rng: random.Random) -> None:
    texts = (
        b"\xff\xfe{\x00}\x00",
        b"\x00" * 100,
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"[" + b"[]," * 7_000_000 + b"[]]",
        b'{"format_version": ' + b"9" * 5000 + b"}",
        b'{"format_version": 1e999}',
        b'{"format_version": 10}',
        b"null",
        b'"PhraseVAE"',
        b"(((((((((((((((((((((((((((((((((((((((((((",
    )
    path.write_bytes(rng.choice(texts))


ON_ANY_FILE = (
    remove,
    empty,
    truncate,
    append,
    randomise,
    flip_bits,
    make_folder,
    make_pipe,
    link,
    make_sparse,
    other_text,
)


# --------------------------------------------------------------------------- JSON
def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    items: Any = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else items:
        yield from places(item, (*place, key))


def spoil_json(path: Path, rng: random.Random) -> None:
    plain = json.loads(path.read_text())
    # A level first: else nearly all places were deep in the long lists.
    by_depth: dict[int, list[tuple[Any, ...]]] = {}
    for place in places(plain):
        by_depth.setdefault(len(place), []).append(place)
    *way, last = rng.choice(by_depth[rng.choice([depth for depth in by_depth if depth])])
    holder = plain
    for key in way:
        holder = holder[key]
    deed = rng.randrange(6)
    if deed == 0:
        del holder[last]
    elif deed == 1 and isinstance(holder, dict):
        holder[rng.choice(("more", "a\nb", "k" * 100_000, ""))] = holder.pop(last)
    else:
        holder[last] = rng.choice(VALUES)
    path.write_text(json.dumps(plain))


# --------------------------------------------------------------------------- arrays
def spoil_array(path: Path, rng: random.Random) -> None:
    array = np.load(path)
    deed = rng.randrange(8)
    if deed == 0:
        np.save(path, array.astype(rng.choice(("f8", "i8", "u1", "c8", "S4", "M8[s]"))))
    elif deed == 1:
        np.save(path, np.array([{"not": "a number"}], object), allow_pickle=True)
    elif deed == 2:
        np.save(path, rng.choice((array[..., None], array[:0], array[:3], array.ravel(), array.T)))
    elif deed == 3:
        with path.open("wb") as file:
            np.savez(file, array=array)
    elif deed == 4:
        shape = rng.choice(("(1000000000000, 2)", "(-1, 2)", "(" + "9" * 4000 + ",)", "('a',)"))
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    elif deed == 5:
        header = b"(" * 9000
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    elif array.dtype.kind == "f":
        array.flat[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -np.inf))
        np.save(path, array)
    else:
        limits = np.iinfo(array.dtype)
        for _ in range(rng.choice((1, 50))):
            array.flat[rng.randrange(array.size)] = rng.choice((limits.min, limits.max, 60, -2))
        np.save(path, array)


# --------------------------------------------------------------------------- weights
def spoil_weights(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8:start]), bytearray(content[start:])
    name = rng.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    first, last = entry["data_offsets"]
    deed = rng.randrange(10)
    if deed < 3:
        poison = rng.choice((float("nan"), float("inf"), -float("inf")))
        place = first + 4 * rng.randrange((last - first) // 4)
        numbers[place : place + 4] = struct.pack("<f", poison)
    elif deed == 3:
        entry["dtype"] = rng.choice(("I32", "U32", "F64", "F16", "F8_E4M3", "C64", "BOOL", "X", 5))
    elif deed == 4:
        entry["shape"] = rng.choice(([], [0], [2**40, 2**40], [-1], [*entry["shape"], 2], 5))
    elif deed == 5:
        entry["data_offsets"] = rng.choice(([0, 2**62], [last, first], [first, last + 4], [], "a"))
    elif deed == 6:
        header[rng.choice(("more", "a\nb", "n" * 100_000))] = header.pop(name)
    elif deed == 7:
        del header[name]
    elif deed == 8:
        header |= {f"extra.{index}": entry for index in range(rng.choice((1, 5000)))}
    else:
        length = rng.choice((2**63, 2**40, 0, len(content) * 2, (1 << 20) + 1))
        path.write_bytes(struct.pack("<Q", length) + content[8:])
        return
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)


SPECIAL = {".json": spoil_json, ".npy": spoil_array, ".safetensors": spoil_weights}


def make_hostile(folder: Path, seed: int) -> str:
    """Spoil a folder of both models; returns what was done."""
    rng = random.Random(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    # Every file in turn, and of its own kind of damage as much as of that which any file can have.
    path = files[seed % len(files)]
    change = SPECIAL[path.suffix] if rng.random() < 0.6 else rng.choice(ON_ANY_FILE)
    change(path, rng)
    return f"{seed}: {change.__name__} {path.relative_to(folder)}"


def use(folder: Path) -> None:
    """What a command does with a folder of models, short of the networks' arithmetic."""
    PhraseCodec.load(folder / "vae", "role")
    generator = PhraseLDMGenerator.from_pretrained(folder)
    for plans in ("training", "drawn"):
        generator.check(SongRequest(plans=plans))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def release(planned_pair, tmp_path_factory) -> Path:
    """A small pair of models with everything that a release may hold."""
    folder = tmp_path_factory.mktemp("release")
    shutil.copytree(planned_pair.vae, folder / "vae")
    shutil.copytree(planned_pair.ldm, folder / "ldm")
    PlanPriors.fit(planned_pair.plans).save(folder / "ldm" / PRIORS_FILE)
    (folder / "ldm" / "sampler.json").write_text('{"solver": "ddim", "num_sampling_steps": 3}')
    return folder


def test_the_folder_that_the_hostile_ones_are_made_of_is_sound(release):
    use(release)
    assert {path.name for path in release.rglob("*") if path.is_file()} == {
        *("config.json", "model.safetensors", "sampler.json", "priors.json", "normalizer.json"),
        *("length_prior.json", "forms.npy", "chords.npy", "textures.npy"),
        *("empty_slot_latents.npy", "bar_lines.json"),
    }


def test_hostile_folders_end_in_one_sentence_each(release, tmp_path):
    refused, faults, slowest = 0, {}, 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(NUM_FOLDERS):
        folder = Path(shutil.copytree(release, tmp_path / str(seed)))
        deed, started = make_hostile(folder, seed), time.monotonic()
        try:
            with within(LONGEST_SECONDS):
                use(folder)
        except UserError as error:
            refused += 1
            if len(str(error).splitlines()) != 1 or len(str(error)) > 600:
                faults[deed] = f"no sentence: {str(error)[:1000]!r}"
        except BaseException as error:
            faults[deed] = repr(error)[:300]
        slowest = max(slowest, time.monotonic() - started)
        shutil.rmtree(folder)
    assert faults == {}
    assert slowest < LONGEST_SECONDS
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MOST_BYTES
    assert refused > 0.7 * NUM_FOLDERS  # the rest are changes that leave a model


@pytest.mark.parametrize(
    ("name", "field", "value", "words"),
    [
        ("vae/config.json", "model_dim", 10**9, "config.model_dim is above 4096"),
        ("vae/config.json", "num_encoder_layers", "3", "config.num_encoder_layers is not a whole"),
        ("vae/config.json", "dropout", None, "config.dropout is not a number"),
        ("vae/config.json", "width", 3, "config.width is not known to this program"),
        ("ldm/config.json", "latent_dim", 10**9, "config.latent_dim is above 1024"),
        ("ldm/config.json", "slots_per_bar", 64, "config.slots_per_bar is not that of the layout"),
    ],
)
def test_a_field_of_a_configuration_is_named(release, tmp_path, name, field, value, words):
    folder = Path(shutil.copytree(release, tmp_path / "folder"))
    description = json.loads((folder / name).read_text())
    description["config"][field] = value
    (folder / name).write_text(json.dumps(description))
    with pytest.raises(ConfigurationError) as caught:
        use(folder)
    assert f"{folder / name} cannot be used: {words}" in str(caught.value)


def test_a_great_configuration_allocates_nothing_before_its_weights_are_looked_at(
    release, tmp_path, monkeypatch
):
    folder = Path(shutil.copytree(release, tmp_path / "folder"))
    path = folder / "vae" / "config.json"
    description = json.loads(path.read_text())
    for name, value in (("model_dim", 4096), ("feedforward_dim", 16384), ("num_heads", 64)):
        description["config"][name] = value
    path.write_text(json.dumps(description))
    with pytest.raises(ConfigurationError, match=r"asks for \d+ weights, more than 134217728"):
        use(folder)
    description["config"] |= {"feedforward_dim": 1024, "num_heads": 2}
    path.write_text(json.dumps(description))
    made = []
    monkeypatch.setattr(torch.nn.init, "normal_", lambda tensor, **_: made.append(tensor.device))
    with pytest.raises(ConfigurationError, match=r"weight is .* where the configuration asks for"):
        use(folder)
    assert {device.type for device in made} == {"meta"}
