"""Files of a model folder from anywhere: looked at before they are read, read within bounds.

Whatever is wrong with a file ends in one sentence that names the file and the place in it: a folder
or a device in its stead, too many bytes, JSON that is none, too deep or of other types, an array or
tensor of another shape. Nothing is unpickled. Weights are in `training.weights`.
"""

import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open

from phrase_models.errors import ConfigurationError

SMALL_JSON, LARGE_JSON = 4 << 20, 8 << 20
"""Most bytes of a configuration, and of fitted priors."""
LARGEST_ARRAY = 64 << 20
LARGEST_HEADER = 1 << 20
MOST_NUMBERS = 1 << 27
"""Numbers of all weights of a model together: half a gigabyte in single precision."""
WEIGHT_TYPES = ("F32", "BF16", "F16")
_LONGEST_SHOWN = 80
_KINDS: Mapping[int, str] = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a pipe",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFSOCK: "is a socket",
}

ModelT = TypeVar("ModelT", bound=BaseModel)


class MissingFileError(ConfigurationError):
    """A file of a model that is not there."""


def unusable(path: Path, complaint: str) -> ConfigurationError:
    """The one sentence about a file of a model."""
    return ConfigurationError(
        f"The model file {path} cannot be used: {complaint}; copy the whole folder of the model "
        "again."
    )


def shown(value: object) -> str:
    """A value from outside, fit for a sentence: short, on one line, printable."""
    text = str(value)[: _LONGEST_SHOWN + 1]
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one sentence what the disk or a library has against a file."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(str(unusable(path, "it is missing"))) from error
    except PermissionError as error:
        raise unusable(path, "you may not read it") from error
    except (OSError, ValueError, TypeError, KeyError, OverflowError, SyntaxError) as error:
        raise unusable(path, "it is damaged, or of another kind") from error
    except (RecursionError, MemoryError, SafetensorError, TokenError) as error:
        raise unusable(path, "it is damaged, or of another kind") from error


def check_file(path: Path, most_bytes: int) -> None:
    """See that a path leads to a file of a size that may be read.

    Links are followed, for caches of models are made of them.

    Raises:
        ConfigurationError: if it does not.
    """
    with reading(path):
        found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "is something else")
        raise unusable(path, f"it {kind} where a file belongs")
    if found.st_size > most_bytes:
        words = f"it has {found.st_size} bytes where at most {most_bytes} are expected"
        raise unusable(path, words)


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A JSON object that was read.

    Attributes:
        path: of the file.
        content: its bytes.
        plain: what they say; nothing in it is checked.
    """

    path: Path
    content: bytes
    plain: Mapping[str, Any]

    def known_format(self, newest: int) -> int:
        """The number of the format, which this program reads.

        Raises:
            ConfigurationError: if there is none, or it is above `newest`.
        """
        found = self.plain.get("format_version")
        if isinstance(found, bool) or not isinstance(found, int) or found < 1:
            raise unusable(self.path, "format_version is not a whole number from 1")
        if found > newest:
            message = (
                f"The model file {self.path} has format {shown(found)}, this program reads up to "
                f"{newest}; update the program."
            )
            raise ConfigurationError(message)
        return found

    def as_a(self, kind: type[ModelT]) -> ModelT:
        """The whole, with every type checked.

        Raises:
            ConfigurationError: naming the first field that does not do.
        """
        return _validated(kind, self.content, self.path, ())

    def part(self, name: str, kind: type[ModelT]) -> ModelT:
        """The value of one key, with every type checked; raises as `as_a`."""
        if name not in self.plain:
            raise unusable(self.path, f"{name} is missing")
        return _validated(kind, json.dumps(self.plain[name]).encode(), self.path, (name,))


def read_json_object(path: Path, most_bytes: int = SMALL_JSON) -> JsonFile:
    """Read a JSON object.

    Raises:
        ConfigurationError: if there is no such file, or it is no JSON object.
    """
    content = _read(path, most_bytes)
    with reading(path):
        plain = json.loads(content, parse_constant=_refuse_constant)
    if not isinstance(plain, dict):
        raise unusable(path, "it is no JSON object")
    return JsonFile(path, content, plain)


def read_model_description(path: Path, class_name: str, name: str, newest: int) -> JsonFile:
    """The description of a model, whose class and format are as they should be.

    Args:
        path: of the JSON file in the folder of the model.
        class_name: that it must state.
        name: of such a model, for people.
        newest: format that this program reads.

    Raises:
        ConfigurationError: if there is no model or a damaged one, another one, or one of a newer
            format.
    """
    try:
        file = read_json_object(path)
    except MissingFileError as error:
        message = f"There is no {name} in {path.parent}; train one or name another folder."
        raise ConfigurationError(message) from error
    found = file.plain.get("class")
    if found != class_name:
        message = f"The model in {path.parent} is no {name} but {shown(found)}."
        raise ConfigurationError(message)
    file.known_format(newest)
    return file


def read_json_as(path: Path, kind: type[ModelT], most_bytes: int = SMALL_JSON) -> ModelT:
    """Read a JSON file with every type checked; raises as `JsonFile.as_a`."""
    return _validated(kind, _read(path, most_bytes), path, ())


def read_array(path: Path, dtype: str, shape: Sequence[int | None]) -> NDArray[Any]:
    """Read a `.npy` file.

    Args:
        path: of the file.
        dtype: that it must have, such as "float32".
        shape: that it must have, None where any size will do.

    Raises:
        ConfigurationError: if there is no such file, or another array in it.
    """
    check_file(path, LARGEST_ARRAY)
    with reading(path):
        found = np.lib.format.open_memmap(path, mode="r")
    fits = len(shape) == found.ndim and all(
        wanted in (None, size) for wanted, size in zip(shape, found.shape, strict=True)
    )
    if found.dtype != np.dtype(dtype) or not fits:
        sizes = " x ".join("any" if size is None else str(size) for size in shape)
        complaint = f"it holds {_size(found.shape)} of {shown(found.dtype)}, not {sizes} of {dtype}"
        raise unusable(path, complaint)
    array = np.array(found)
    if not np.isfinite(array).all():
        raise unusable(path, "a number in it is not finite")
    return array


def check_weights_file(path: Path, expected: Mapping[str, Sequence[int]]) -> None:
    """Compare the header of a safetensors file with the tensors that a model needs.

    Args:
        path: of the file.
        expected: shapes by name; no tensor may be missing or be there beside them.

    Raises:
        ConfigurationError: naming the first tensor that does not do.
    """
    found = weights_header(path)
    for name in [*expected, *found]:
        if name not in found:
            raise unusable(
                path, f"it lacks the tensor {shown(name)}, which the configuration asks for"
            )
        if name not in expected:
            raise unusable(path, f"its tensor {shown(name)} is not in the configuration")
        if found[name] != tuple(expected[name]):
            sizes = f"{_size(found[name])} where the configuration asks for {_size(expected[name])}"
            raise unusable(path, f"its tensor {shown(name)} is {sizes}")


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[:8])) or "one number"


def weights_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a safetensors file by name; no number is read.

    Raises:
        ConfigurationError: if there is no such file, it is another one, or it holds tensors of
            other types than weights have.
    """
    check_file(path, 4 * MOST_NUMBERS + LARGEST_HEADER)
    with reading(path):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise ValueError
        with safe_open(path, "np") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            types = {name: part.get_dtype() for name, part in slices.items()}
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
    for name, kind in types.items():
        if kind not in WEIGHT_TYPES:
            words = f"its tensor {shown(name)} has the type {shown(kind)}, not one of "
            raise unusable(path, words + ", ".join(WEIGHT_TYPES))
    return shapes


def _read(path: Path, most_bytes: int) -> bytes:
    check_file(path, most_bytes)
    with reading(path):
        return path.read_bytes()


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _validated(kind: type[ModelT], content: bytes, path: Path, place: tuple[str, ...]) -> ModelT:
    try:
        return kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise unusable(path, first_complaint(error, place)) from error


_WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known to this program",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "finite_number": "is not finite",
    "string_type": "is not text",
    "bool_type": "is not true or false",
    "list_type": "is not a list",
    "tuple_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "literal_error": "is none of {expected}",
    "greater_than": "is not above {gt}",
    "greater_than_equal": "is below {ge}",
    "less_than": "is not below {lt}",
    "less_than_equal": "is above {le}",
    "too_short": "has too few entries",
    "too_long": "has too many entries",
    "string_too_long": "is too long",
    "json_invalid": "is no JSON",
    "value_error": "does not do ({error})",
}
"""What is said of a value, by pydantic's name for the fault."""


def first_complaint(error: ValidationError, place: Sequence[str] = ()) -> str:
    """The first field that does not do, and why, in our own words.

    Args:
        error: of a model.
        place: of the model's value in its file.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in (*place, *first["loc"]))
    words = _WORDS.get(first["type"], "does not do")
    context = {key: shown(value).rstrip(".") for key, value in first.get("ctx", {}).items()}
    return f"{shown(name) or 'it'} {words.format_map(context)}"
