"""What an experiment's page in MLflow says and shows: a description, and a saved view of its runs.

A saved view is what *Views, Save as new view* of the runs' page leaves: a tag of the experiment
with columns and charts. MLflow opens an experiment without any view, so the description links to
it. A release of MLflow that writes views otherwise ignores the tag.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GLANCE = "all"
"""Section of the figures that are compared first; its name sorts before those of the stages, so
that charts and the compare page open on it."""
NOTE_TAG, VIEW_TAG = "mlflow.note.content", "mlflow.sharedViewState.phraseldm"
SWEEP = "sweep of "
COLUMN_WIDTH = 130
"""Pixels."""


@dataclass(frozen=True)
class ExperimentPage:
    """The page of an experiment.

    Attributes:
        description: Markdown.
        params: columns of parameters.
        metrics: columns and charts of metrics.
    """

    description: str
    params: tuple[str, ...] = ("latent_dim",)
    metrics: tuple[str, ...] = ()


COMPARED = tuple(
    f"{GLANCE}/{name}"
    for name in (
        "f1_op",
        "srs_ratio_50",
        "srs_ratio_70",
        "fid_ratio",
        "feature_ratio",
        "boundary_f1",
        "memorised",
    )
)
HOW_TO_READ = (
    "`f1_op`: notes of held-out songs that PhraseVAE gives back. `srs_ratio`: recurrence of bars "
    "over that of real songs, 1 is best. `fid_ratio`, `feature_ratio`: PhraseFID and distance of "
    "song features, in those of real songs, 1 is best; they compare latents of all sizes. "
    "Pictures, songs and gallery are among the artifacts of every run."
)
PAGES: Mapping[str, ExperimentPage] = {
    "pipeline": ExperimentPage(
        f"One run for each pipeline, with the figures of all its stages. {HOW_TO_READ}",
        ("latent_dim", "preset"),
        COMPARED,
    ),
    "vae": ExperimentPage(
        "The trainings of PhraseVAE and its figures on held-out songs, a run a stage.",
        metrics=("final/f1_op", "final/f1_opd", "validation/score"),
    ),
    "diffusion": ExperimentPage(
        "The trainings of PhraseLDM, a run a stage.",
        metrics=("validation/loss", "train/loss"),
    ),
    "songs": ExperimentPage(
        "Generated songs: MIDI files and a gallery, and their metrics beside real songs.",
        metrics=("generated/srs_notes_50", "generated/phrase_fid", "generated/feature_frechet"),
    ),
    "reports": ExperimentPage("The paper's tables as far as a store has measured them.", ()),
}


def page_of(experiment: str) -> ExperimentPage | None:
    """The page of an experiment by the last part of its name, None where nothing is said of it."""
    name = experiment.partition("/")[2]
    if name.startswith(SWEEP):
        return ExperimentPage(
            f"{name[0].upper()}{name[1:]}, a run for each value. {HOW_TO_READ}",
            ("latent_dim",),
            COMPARED,
        )
    return PAGES.get(name)


def page_tags(experiment: str, experiment_id: str, now: int) -> dict[str, str]:
    """Tags that make the page.

    Args:
        experiment: its name.
        experiment_id: its id, for the link.
        now: milliseconds since 1970.
    """
    page = page_of(experiment)
    if page is None:
        return {}
    view = {"name": "Compared", "createdAt": now, "updatedAt": now}
    view["state"] = json.dumps(view_state(page.params, page.metrics))
    link = f"#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW_TAG.rpartition('.')[2]}"
    links = f"[Table]({link}) and [charts]({link}&compareRunsMode=CHART) of what to compare."
    said = f"{links} {page.description}" if page.metrics else page.description
    return {NOTE_TAG: said} | ({VIEW_TAG: json.dumps(view)} if page.metrics else {})


def view_state(params: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    """What a saved view holds: columns of parameters and metrics, and a chart a metric."""
    columns = [f"params.`{name}`" for name in params]
    columns += [f"metrics.`{name}`" for name in metrics]
    section = "phraseldm"
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": dict.fromkeys(columns, COLUMN_WIDTH),
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": [_bars_of_runs(name, section) for name in metrics],
        "compareRunSections": [
            {
                "uuid": section,
                "name": "Compared",
                "display": True,
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
            }
        ],
        "isAccordionReordered": True,
        "viewMaximized": False,
        "runListHidden": False,
        "hideEmptyCharts": True,
        "useGroupedValuesInCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _bars_of_runs(metric: str, section: str) -> dict[str, Any]:
    return {
        "uuid": f"{section}-{metric}",
        "type": "BAR",
        "metricKey": metric,
        "metricSectionId": section,
        "runsCountToCompare": 20,
        "deleted": False,
        "isGenerated": False,
    }
