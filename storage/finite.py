"""No artifact holds a weight, or is described by a training figure, that is not finite.

Undefined figures are allowed: a metric without anything to measure is nan, and null in JSON. Not so
weights, and the figures by which a training chose them: a nan there is a training that diverged.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import NonFinite, StorageError

TRAINING_FIGURES = ("best_score", "score", "loss")
"""Names of figures that are never undefined."""
TRAINING_RESULT = "result.json"
"""What a training process leaves of its figures; never undefined either."""
_NUMPY_FLOATS: Mapping[str, str] = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_EXPONENT_BITS: Mapping[str, tuple[str, int]] = {"BF16": ("<u2", 0x7F80), "F8_E5M2": ("<u1", 0x7C)}
"""Types that numpy lacks: what is not finite has all bits of the exponent set."""
_CHUNK = 1 << 22
"""Numbers looked at at once."""


def check_finite(output: Path, meta: Mapping[str, Any], stage: str) -> None:
    """Refuse weights and training figures that are not finite.

    Looked at are the tensors of every `.safetensors` file (floats of 8 bits without infinities
    apart), every number in `result.json`, and the numbers in meta called as in `TRAINING_FIGURES`.

    Args:
        output: folder that is to become an artifact.
        meta: facts about the result for people.
        stage: whose artifact it is to be.

    Raises:
        NonFinite: naming the tensor or figure.
        StorageError: if a weights file cannot be read.
    """
    for path in sorted(output.rglob("*.safetensors")):
        for name in non_finite_tensors(path):
            raise _refusal(stage, f"a number in {path.name}, tensor {name}, is")
    result = output / TRAINING_RESULT
    figures = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
    figures |= {name: meta[name] for name in TRAINING_FIGURES if name in meta}
    for name, value in figures.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise _refusal(stage, f"{name} is {value},")


def _refusal(stage: str, what: str) -> NonFinite:
    return NonFinite(
        f"The result of stage {stage} is not kept: {what} not finite. Try a lower learning rate, a "
        "longer warm-up or precision fp32."
    )


def non_finite_tensors(path: Path) -> Iterator[str]:
    """Names of the tensors of a safetensors file that hold a nan or an infinity.

    Raises:
        StorageError: if the file is not safetensors.
    """
    try:
        start, header = _read_header(path)
        for name, entry in header.items():
            if name != "__metadata__" and not _is_finite(path, start, entry):
                yield name
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is not a safetensors file: run the stage again.") from error


def _read_header(path: Path) -> tuple[int, dict[str, Any]]:
    """Where the numbers begin, and what stands before them: dtype and place of each tensor."""
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if start > path.stat().st_size:
            raise ValueError("the header is cut off")
        header = json.loads(file.read(start - 8))
    if not isinstance(header, dict):
        raise TypeError("the header is no object")
    return start, header


def _is_finite(path: Path, start: int, entry: Mapping[str, Any]) -> bool:
    kind, (first, last) = entry["dtype"], entry["data_offsets"]
    if last == first or not (kind in _NUMPY_FLOATS or kind in _EXPONENT_BITS):
        return True
    numpy_kind, exponent = _EXPONENT_BITS.get(kind, (_NUMPY_FLOATS.get(kind, ""), 0))
    raw = np.memmap(path, np.uint8, mode="r", offset=start + first, shape=(last - first,))
    values = raw.view(numpy_kind)
    for chunk in (values[place : place + _CHUNK] for place in range(0, len(values), _CHUNK)):
        sound = (chunk & exponent) != exponent if exponent else np.isfinite(chunk)
        if not sound.all():
            return False
    return True
