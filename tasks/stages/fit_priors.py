"""Stage `fit_priors`: priors of layouts, forms and chords, to draw the plans of new songs from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.form.plan_priors import PRIORS_FILE, PlanPriors, can_be_fitted
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import EmptyConfig

if TYPE_CHECKING:
    from pathlib import Path

    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext


def fit_priors(context: StageContext) -> Mapping[str, Any]:
    """Write `priors.json` of the training songs; nothing where none has sections and a form."""
    plans = training_plans(context.inputs["dataset"].folder)
    fitted = can_be_fitted(plans)
    if fitted:
        PlanPriors.fit(plans).save(context.output / PRIORS_FILE)
    return {"num_songs": len(plans), "fitted": fitted}


def training_plans(folder: Path) -> list[SongPlan]:
    """Sections, form and chords of the training songs of an artifact of `collect_songs`."""
    arrays, first_bar, plans = PlanArrays.read(folder), 0, []
    for entry in json.loads((folder / "songs.json").read_text()):
        plan = plan_from_layout(entry["section_layout"], entry["num_bars"])
        if entry["split"] == "train":
            plans.append(arrays.complete(plan, first_bar))
        first_bar += entry["num_bars"]
    return plans


STAGE = StageKind(name="fit_priors", body=fit_priors, reads=("collect_songs",))


def priors_stage(dataset: ArtifactRef) -> Stage:
    """Priors of the songs that PhraseLDM is trained on."""
    return STAGE.configured(EmptyConfig(), {"dataset": dataset})
