"""Canonical JSON and digests: the same in every process, refusing what has no one form."""

import os
import subprocess
import sys
from enum import Enum, IntEnum
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from storage.fingerprint import canonical_json, digest_file, digest_folder, digest_json


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Inner(BaseModel):
    names: frozenset[str]
    path: Path


def test_canonical_json_of_every_type():
    value = {
        "z": [1, 2.0, True, None, (3, "ü")],
        "a": {Colour.RED: Colour.RED, "level": Level.HIGH},
        "model": Inner(names=frozenset({"b", "a"}), path=Path("x/y")),
        "sets": {10, 9, 2},
    }
    assert canonical_json(value) == (
        '{"a":{"level":3,"red":"red"},"model":{"names":["a","b"],"path":"x/y"},'
        '"sets":[10,2,9],"z":[1,2.0,true,null,[3,"\\u00fc"]]}'
    )


def test_order_of_keys_and_tuples_or_lists_do_not_matter_but_types_do():
    assert digest_json({"a": 1, "b": (2,)}) == digest_json({"b": [2], "a": 1})
    assert len({digest_json(value) for value in (1, 1.0, True, "1", [1], None)}) == 6


def test_golden_digest():
    assert digest_json({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [b"x", object(), np.float32(1), np.zeros(2), 1j, Inner, print])
def test_unknown_types_are_refused_with_their_place(value):
    with pytest.raises(TypeError, match=r"value\.a\[0\] is a "):
        canonical_json({"a": [value]})


def test_keys_must_be_strings():
    with pytest.raises(TypeError, match="keys must be strings"):
        canonical_json({1: 2})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match=r"value\.x is"):
        canonical_json({"x": value})


def test_digest_does_not_depend_on_the_hash_seed():
    program = (
        "from pydantic import BaseModel\n"
        "from storage.fingerprint import digest_json\n"
        "class C(BaseModel):\n"
        "    names: set[str]\n"
        "words = ['alto', 'bass', 'cello', 'drum', 'erhu', 'flute']\n"
        "print(digest_json({'s': set(words), 'f': frozenset(words), 'm': C(names=words)}))\n"
    )
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_digest_of_files_and_folders(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in ((first, ("b", "a/c")), (second, ("a/c", "b"))):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    assert digest_file(first / "b") == (
        "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"
    )
    assert digest_folder(first) == digest_folder(second)
    (second / "empty").mkdir()
    assert digest_folder(first) == digest_folder(second)
    (second / "b").rename(second / "d")
    assert digest_folder(first) != digest_folder(second)
