"""Which songs the priors are fitted to, and what a corpus without forms leaves."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from phrase_models.diffusion.plan_arrays import FORMS_FILE, PlanArrays
from phrase_models.form.plan_priors import PRIORS_FILE, PlanPriors
from tasks.stages.fit_priors import fit_priors, training_plans


@dataclass(frozen=True)
class Context:
    inputs: dict
    output: Path


@pytest.fixture
def dataset(planned_pair, tmp_path) -> Path:
    """Songs as `collect_songs` leaves them; the second and the last are held out."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    PlanArrays.of_plans(planned_pair.plans).write(folder)
    rows = [
        {
            "split": "validation" if index in {1, 5} else "train",
            "num_bars": plan.num_bars,
            "section_layout": plan.section_layout,
        }
        for index, plan in enumerate(planned_pair.plans)
    ]
    (folder / "songs.json").write_text(json.dumps(rows))
    return folder


def run(dataset: Path, output: Path):
    output.mkdir()
    return fit_priors(Context({"dataset": SimpleNamespace(folder=dataset)}, output))


def test_held_out_songs_do_not_count(dataset, planned_pair, tmp_path):
    training = [plan for index, plan in enumerate(planned_pair.plans) if index not in {1, 5}]
    assert training_plans(dataset) == training
    assert run(dataset, tmp_path / "out") == {"num_songs": 4, "fitted": True}
    PlanPriors.fit(training).save(tmp_path / "expected.json")
    written = (tmp_path / "out" / PRIORS_FILE).read_bytes()
    assert written == (tmp_path / "expected.json").read_bytes()
    PlanPriors.fit(planned_pair.plans).save(tmp_path / "all.json")
    assert written != (tmp_path / "all.json").read_bytes()


def test_songs_without_forms_leave_no_priors(dataset, tmp_path):
    forms = np.load(dataset / FORMS_FILE)
    np.save(dataset / FORMS_FILE, np.full_like(forms, -1))
    assert run(dataset, tmp_path / "none") == {"num_songs": 4, "fitted": False}
    (dataset / FORMS_FILE).unlink()
    assert run(dataset, tmp_path / "absent") == {"num_songs": 4, "fitted": False}
    assert list((tmp_path / "none").iterdir()) == list((tmp_path / "absent").iterdir()) == []
