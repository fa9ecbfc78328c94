"""What a training process writes of its progress, read as far as it is sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole, sound lines of a `metrics.jsonl`, as {"step": int, "values": {name: number}}.

    Neither a missing nor a damaged file is worth the end of a training.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError:
        return []
    records = (_record(line) for line in lines if line.endswith("\n"))
    return [record for record in records if record is not None]


def read_small_json(path: Path) -> Any:
    """The content of a small file beside a training; None where it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        step, values = record["step"], record["values"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    numbers = isinstance(values, dict) and all(
        isinstance(value, int | float) for value in values.values()
    )
    return {"step": step, "values": values} if isinstance(step, int) and numbers else None
