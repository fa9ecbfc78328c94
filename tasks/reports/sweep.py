"""Trainings that differ in chosen settings, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from phrase_models.errors import ConfigurationError
from phrase_models.metrics.paired import paired_difference
from phrase_models.plots import figure_png, scores_by_setting
from storage.artifacts import ArtifactStore
from storage.fingerprint import digest_json
from storage.opening import open_store
from storage.writing import replacing
from tasks.engine.experiment_pages import SWEEP
from tasks.engine.mlflow_sender import EXPERIMENTS
from tasks.engine.stage_kind import StageKind
from tasks.engine.tracking import SweptRun, log_sweep
from tasks.launch import Launch, Request, launch
from tasks.promotion.execution import execution_of
from tasks.reports.at_a_glance import at_a_glance
from tasks.reports.measurements import difference_text, read_song_counts, score_text
from tasks.stages import evaluate_songs, score_autoencoder, score_reconstruction

Until = Literal["vae", "autoencoder", "metrics"]
SCORING: Mapping[Until, StageKind] = {
    "vae": score_reconstruction.STAGE,
    "autoencoder": score_autoencoder.STAGE,
    "metrics": score_reconstruction.STAGE,
}
"""The stage that measures what an autoencoder gives back."""
LAST: Mapping[Until, StageKind] = {**SCORING, "metrics": evaluate_songs.STAGE}
"""The stage that measures what was trained up to there."""
SONG_FIGURES = ("srs_ratio_50", "srs_ratio_70", "fid_ratio", "boundary_f1", "memorised")
"""Of songs, in the table of a sweep; see `at_a_glance`."""
LONGEST_DESCRIPTION = 80
"""Characters of what the points of a sweep have in common; the rest is told by a digest."""


@dataclass(frozen=True)
class SweepPoint:
    """One point of a sweep.

    Attributes:
        settings: what sets it apart, {"vae.latent_dim": "32"}.
        launched: its checked request.
    """

    settings: Mapping[str, str]
    launched: Launch

    @property
    def name(self) -> str:
        """Its settings in a few words."""
        return ", ".join(
            f"{field.split('.')[-1]} {value}" for field, value in self.settings.items()
        )


def parse_axes(axes: Sequence[str]) -> dict[str, list[str]]:
    """["vae.latent_dim=16,32"] -> {"vae.latent_dim": ["16", "32"]}.

    Raises:
        ConfigurationError: for an item without values.
    """
    parsed: dict[str, list[str]] = {}
    for axis in axes:
        field, equals, values = axis.partition("=")
        chosen = [value.strip() for value in values.split(",") if value.strip()]
        if not equals or not field.strip() or not chosen:
            message = f"--over {axis!r} is not of the form section.key=value,value,..."
            raise ConfigurationError(message)
        parsed[field.strip()] = chosen
    return parsed


def sweep_points(
    request: Request, axes: Mapping[str, Sequence[str]], *, orchestrated: bool
) -> list[SweepPoint]:
    """Every combination of the axes' values, checked before the first one trains.

    Raises:
        ConfigurationError: naming a setting that does not exist, has a value that does not fit, or
            has one beside those that it is swept over.
    """
    if not axes:
        message = "A sweep needs at least one --over section.key=value,value,..."
        raise ConfigurationError(message)
    for name in axes:
        if name in request.overrides:
            message = f"Setting {name} is both set and swept over: leave out --set {name}=..."
            raise ConfigurationError(message)
    points = []
    for values in product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        changed = request.model_copy(update={"overrides": {**request.overrides, **settings}})
        launched = launch(changed, orchestrated=orchestrated)
        launched.recorded = False
        points.append(SweepPoint(settings, launched))
    return points


def sweep_title(point: SweepPoint, until: Until) -> str:
    """What varies, and what all points have in common: sweeps of one title may be compared.

    For example "vae.latent_dim (vae, ablation, vae.granularity=bar)".
    """
    request = point.launched.request
    common = {
        name: value for name, value in request.overrides.items() if name not in point.settings
    }
    words = [until, request.preset, *(f"{name}={value}" for name, value in sorted(common.items()))]
    described = ", ".join(words)
    if len(described) > LONGEST_DESCRIPTION:
        kept = described[:LONGEST_DESCRIPTION].rpartition(",")[0]
        described = f"{kept}, ... {digest_json(common)[:8]}"
    return f"{', '.join(point.settings)} ({described})"


def finish_sweep(points: Sequence[SweepPoint], until: Until) -> list[dict[str, Any]]:
    """Draw a finished sweep, and put it into MLflow as an experiment of its own.

    Returns:
        For each point its "name", the "key" of its scores, these scores, and the "difference" of
        F1_op to the first point in words.
    """
    first = points[0].launched
    store = open_store(first.store)
    refs = [point.launched.results[SCORING[until].name].ref for point in points]
    songs = [read_song_counts(store, ref) for ref in refs]
    rows = [
        {
            "name": point.name,
            "key": ref.key,
            "difference": difference_text(paired_difference("f1_op", songs[0], counts)),
            **store.manifest(ref).meta,
            **_song_figures(store, point, until),
        }
        for point, ref, counts in zip(points, refs, songs, strict=True)
    ]
    title = sweep_title(points[0], until)
    chart = first.store / "sweeps" / f"{title.replace('/', '-')}.png"
    chart.parent.mkdir(parents=True, exist_ok=True)
    picture = scores_by_setting([row["name"] for row in rows], rows)
    with replacing(chart) as aside:
        aside.write_bytes(figure_png(picture))
    if first.runtime.tracking:
        tracked = [
            _swept_run(store, point, row, until) for point, row in zip(points, rows, strict=True)
        ]
        log_sweep(first.store, f"{EXPERIMENTS}/{SWEEP}{title}", tracked, chart)
    return rows


def _song_figures(store: ArtifactStore, point: SweepPoint, until: Until) -> dict[str, float]:
    """Figures of the songs of a point, where songs were made."""
    if until != "metrics":
        return {}
    results = point.launched.results
    meta = {name: store.manifest(result.ref).meta for name, result in results.items()}
    figures = at_a_glance(meta)
    return {name: figures[name] for name in SONG_FIGURES if name in figures}


def _swept_run(
    store: ArtifactStore, point: SweepPoint, row: Mapping[str, Any], until: Until
) -> SweptRun:
    """A point as it is tracked; its models are experiments, which nobody registers."""
    launched = point.launched
    refs = {name: result.ref for name, result in launched.results.items()}
    execution = replace(execution_of(launched.config, refs, store), models=())
    key = launched.results[LAST[until].name].ref.key
    scores = {name: value for name, value in row.items() if name != "key"}
    return SweptRun(point.name, key, launched.config, scores, execution)


def sweep_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The figures of a sweep, a line each; all but the first are compared with it."""
    lines = []
    for row in rows:
        difference = row["difference"] or "not comparable, other songs were held out"
        compared = f"; F1_op against the first: {difference}" if row is not rows[0] else ""
        lines.append(
            f"{row['name']}: F1_op {score_text(row, 'f1_op')}, F1_opd {score_text(row, 'f1_opd')}, "
            f"{row['num_phrases']} units of {row['num_songs']} songs{compared}{_songs_text(row)}"
        )
    return "\n".join(lines)


def _songs_text(row: Mapping[str, Any]) -> str:
    figures = [f"{name} {row[name]:.3f}" for name in SONG_FIGURES if name in row]
    return f"; songs: {', '.join(figures)}" if figures else ""
