"""What Prefect shows of a stage: headline figures, a small picture, and where more is told."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.opening import store_address
from tasks.engine.mlflow_sender import run_link
from tasks.engine.stage import tracked_run
from tasks.reports.at_a_glance import at_a_glance

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Session, Stage, StageResult

PICTURE_WIDTH = 640
"""Pixels: pictures travel inside the text, as pages of Prefect have no files of their own."""
PICTURE_COLOURS = 32


def stage_report(stage: Stage, result: StageResult, session: Session) -> str:
    """Markdown about a stage that was made now, or before.

    Args:
        stage: that ran.
        result: of it.
        session: the execution, whose store holds the artifact.
    """
    meta = session.store.manifest(result.ref).meta
    figures: dict[str, Any] = {"artifact": _place(result.ref, session.store.root)}
    if not result.cached:
        figures["seconds"] = round(result.seconds, 1)
    run_id = result.tracking_run or tracked_run(result.ref)
    if run_id is not None:
        figures["MLflow run"] = run_link(run_id)
    headlines = at_a_glance({stage.name: meta})
    parts = [
        f"## {stage.name}",
        _table({**headlines, **figures}),
        *(_inline_picture(path) for path in sorted(result.ref.folder.rglob("*.png"))[:1]),
        _table({name: value for name, value in meta.items() if name not in headlines}),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _place(ref: ArtifactRef, root: Path) -> str:
    """Where any reader of the page finds an artifact, who may be at another machine."""
    address = store_address(root)
    return str(ref.folder) if address == str(root) else f"{ref.key[:12]} in {address}"


def _table(figures: dict[str, Any]) -> str:
    rows = [f"| {name} | {_show(value)} |" for name, value in figures.items()]
    return "\n".join(["| figure | value |", "|---|---|", *rows]) if rows else ""


def _show(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _inline_picture(path: Path) -> str:
    """A picture of an artifact, made small enough to stand in a text."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
        content = io.BytesIO()
        small.quantize(PICTURE_COLOURS).save(content, "PNG", optimize=True)
    text = base64.b64encode(content.getvalue()).decode()
    return f"![{path.stem.replace('_', ' ')}](data:image/png;base64,{text})"
