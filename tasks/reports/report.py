"""The paper's tables of PhraseVAE (section 4.2), and songs, as far as a store has measured them."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from phrase_models.latent_report import NOISE_SIGMAS
from phrase_models.metrics.note_matching import PhraseCounts
from phrase_models.metrics.paired import paired_difference, pool_seeds
from phrase_models.metrics.song_counts import scores_with_intervals
from storage.artifacts import ArtifactStore
from storage.opening import existing_store
from storage.writing import replacing, translate_disk_errors
from tasks.engine.tracking import find_runs_of_stages, log_report
from tasks.reports.measurements import Measurement, difference_text, find_measurements, score_text
from tasks.reports.report_rows import ROWS, TITLES, ReportRow
from tasks.reports.report_tables import NOT_RUN, ReportTable
from tasks.reports.song_evaluations import find_song_evaluations
from tasks.reports.song_report import song_tables

HEADER = (
    "model",
    "paper F1_op / F1_opd",
    "F1_op",
    "F1_opd",
    "F1_op minus the row above",
    "seeds: F1_op of each",
    "units",
    "numbers a bar",
    "training",
    "MLflow run",
)
SONG_TABLE = 5
"""Number of the table of whole songs."""
JUMP, DETOUR = "interpolation_largest_jump", "interpolation_detour"


@dataclass(frozen=True)
class RowScores:
    """What is known of one row.

    Attributes:
        trainings: repetitions of one training, by seed.
        scores: of all of them together, name to value, with "..._interval" pairs.
        difference: of F1_op to the row above, as text.
    """

    trainings: Sequence[Measurement]
    scores: Mapping[str, Any]
    difference: str


def write_report(store: Path, numbers: Sequence[int]) -> tuple[str, Path]:
    """Write `report.md` and `report.html` below the store's `report` folder, and log both.

    Args:
        store: folder of the store.
        numbers: of the paper's tables, 1 to 4, and 5 for whole songs.

    Returns:
        The report in Markdown, and its folder.

    Raises:
        MissingArtifact: if there is no store.
    """
    artifacts = existing_store(store)
    tables: list[ReportTable] = []
    pictures: list[tuple[str, bytes]] = []
    of_vae = [number for number in numbers if number in TITLES]
    if of_vae:
        tables, pictures = _vae_tables(store, artifacts, of_vae)
    if SONG_TABLE in numbers:
        tables += song_tables(find_song_evaluations(artifacts))
    markdown = "\n\n".join(table.markdown() for table in tables) + "\n"
    folder = store / "report"
    with translate_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("report.md", markdown), ("report.html", _page(tables, pictures))):
            with replacing(folder / name) as aside:
                aside.write_text(text, encoding="utf-8")
    log_report(store, folder)
    return markdown, folder


def _vae_tables(
    store: Path, artifacts: ArtifactStore, numbers: Sequence[int]
) -> tuple[list[ReportTable], list[tuple[str, bytes]]]:
    """Tables of trained autoencoders, and pictures of the model trained longest."""
    found = find_measurements(artifacts)
    runs = find_runs_of_stages(store, [(item.stage, item.key) for item in found])
    tables = [report_table(number, found, runs) for number in numbers]
    longest = max(
        (item for item in found if "latent_std_mean" in item.scores),
        key=lambda item: item.tokens_seen,
        default=None,
    )
    if longest is not None:
        tables.append(latent_table(longest))
    tables[-1] = replace(tables[-1], note=NOTE)
    return tables, _pictures(artifacts, longest)


NOTE = (
    "Ours: greedy decoding under the grammar, notes pooled over all held-out songs, no special "
    "phrases, 95 % bootstrap intervals over songs, notes of all seeds together; a difference has "
    "the songs of both rows resampled together. Intervals tell how songs differ; how trainings do, "
    "the seeds tell. The paper averages phrases and counts special "
    "ones. Training is steps x tokens of each stage in turn; a row marked + saw more or fewer "
    "tokens in its last stage than most rows of its table."
)


def report_table(number: int, found: Sequence[Measurement], runs: dict[str, str]) -> ReportTable:
    """One table of the paper.

    Of several trainings of a row, that by the recipe that most rows share; repetitions of it under
    other seeds count together.
    """
    rows = [row for row in ROWS if row.table == number]
    matches = [[item for item in found if row.matches(item)] for row in rows]
    recipes = Counter(
        shared for items in matches for shared in {(item.recipe, item.budget) for item in items}
    )
    recipe, budget = max(
        recipes, key=lambda shared: (recipes[shared], shared[1]), default=(None, None)
    )
    lines = []
    before: Mapping[str, PhraseCounts] = {}
    for row, items in zip(rows, matches, strict=True):
        trainings = same_but_for_seed(items, recipe, budget)
        song_counts = pool_seeds([item.song_counts for item in trainings])
        if trainings:
            difference = difference_text(paired_difference("f1_op", before, song_counts))
            scored = RowScores(trainings, scores_with_intervals(song_counts), difference)
            lines.append(_line(row, scored, runs, budget))
        else:
            lines.append(_line_not_run(row))
        before = song_counts
    return ReportTable(TITLES[number], HEADER, tuple(lines))


def same_but_for_seed(
    items: Sequence[Measurement], recipe: str | None, budget: int | None
) -> list[Measurement]:
    """The best of a row's models and its repetitions, by seed.

    The best is by the table's recipe and budget where there is such a one, and trained longest.
    """
    best = max(
        items,
        key=lambda item: (item.recipe == recipe, item.budget == budget, item.tokens_seen),
        default=None,
    )
    if best is None:
        return []
    alike = {item.seed: item for item in items if item.differs_in_seed_only(best)}
    return [alike[seed] for seed in sorted(alike)]


def _paper(row: ReportRow) -> str:
    return " / ".join("-" if value is None else f"{value:.1f} %" for value in row.paper)


def _line_not_run(row: ReportRow) -> tuple[str, ...]:
    return (row.label, _paper(row), NOT_RUN, NOT_RUN, *[""] * (len(HEADER) - 4))


def _line(
    row: ReportRow, scored: RowScores, runs: dict[str, str], budget: int | None
) -> tuple[str, ...]:
    first = scored.trainings[0]
    return (
        row.label,
        _paper(row),
        score_text(scored.scores, "f1_op"),
        score_text(scored.scores, "f1_opd"),
        scored.difference,
        _seeds_text(scored.trainings),
        f"{first.num_units} of {first.num_songs} songs",
        first.numbers_per_bar,
        first.training + ("" if first.budget == budget else " +"),
        ", ".join(runs.get(item.key, "")[:8] for item in scored.trainings),
    )


def _seeds_text(trainings: Sequence[Measurement]) -> str:
    """How many seeds, and how far apart they are."""
    scores = [item.scores["f1_op"] for item in trainings]
    if len(scores) == 1 or None in scores:
        return str(len(scores))
    return f"{len(scores)}: {min(scores):.2%} to {max(scores):.2%}".replace("%", " %")


def latent_table(item: Measurement) -> ReportTable:
    """What was measured of the latents of one model: keys, noise, normality, smoothness."""
    scores = item.scores
    ranges = [
        ("F1_op / F1_opd", ("f1_op", "f1_opd")),
        ("in the songs' own keys", ("f1_op_own_keys", "f1_opd_own_keys")),
        *(
            (f"with noise of {sigma:g} deviations", (f"f1_op_{noise}", f"f1_opd_{noise}"))
            for sigma in NOISE_SIGMAS
            for noise in (f"relative_noise_{sigma:g}",)
        ),
        ("deviation of a dimension: least / most", ("latent_std_min", "latent_std_max")),
        ("active dimensions", ("latent_active_dims",)),
        ("correlation of dimensions, mean size", ("latent_correlation_mean_abs",)),
        ("between two phrases in 8 points: largest step / ends (even: 0.143)", (JUMP,)),
        ("the same: sum of the steps / ends (direct: 1)", (DETOUR,)),
    ]
    rows = [
        (label, " / ".join(f"{scores[name]:.4g}" for name in names))
        for label, names in ranges
        if all(scores.get(name) is not None for name in names)
    ]
    title = f"Latents of the model trained longest ({item.name})"
    return ReportTable(title, ("", "measured"), tuple(rows))


def _pictures(store: ArtifactStore, item: Measurement | None) -> list[tuple[str, bytes]]:
    """Latents, ways between them and learning curves of a model, by title."""
    return [
        (PurePosixPath(name).stem.replace("_", " "), store.read_bytes(ref, name))
        for ref, name in (item.pictures if item else ())
    ]


def _page(tables: Sequence[ReportTable], pictures: Sequence[tuple[str, bytes]]) -> str:
    body = "".join(table.html() for table in tables)
    body += "".join(_html_picture(title, picture) for title, picture in pictures)
    return PAGE.format(body=body)


def _html_picture(title: str, picture: bytes) -> str:
    import base64

    data = base64.b64encode(picture).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(title)}">'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
    )


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>phraseldm: what was measured</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 95rem; margin: 2rem auto; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d5d9e2; }}
th {{ border-bottom: 2px solid #8a93a6; }}
img {{ max-width: 100%; }}
figure {{ margin: 2rem 0; }}
</style>
<h1>The paper's tables, and what this store has measured</h1>
{body}</html>
"""
