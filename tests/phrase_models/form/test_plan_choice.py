"""Plans as wholes: their statistics by hand, and the choice among drawn ones."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_text import parse_form
from phrase_models.form.plan_choice import ChoiceFile, PlanChoice
from phrase_models.form.plan_priors import PlanPriors
from phrase_models.form.plan_statistics import plan_statistics
from phrase_models.logistic_regression import LogisticRegression, Standardiser
from phrase_models.score.song import parse_section_layout
from tests.phrase_models.form.test_plan_priors import PLANS, TEXTS, plan_of

SECTIONS = parse_section_layout("A4 A4")
FORM = parse_form("""
melody * * * * =1 =2 =3 =4
bridge . . . . . . . .
piano  * * * * =1 =2 =3 *
""")
CHORDS = np.array([[1, 1], [2, 2], [3, 3], [4, 4]] * 2)
KIND = 7
"""Statistics of one kind of likeness."""


def test_statistics_of_a_plan_by_hand():
    values = plan_statistics(SECTIONS, FORM, CHORDS)
    assert values[0] == pytest.approx(4 / math.sqrt(8))  # distinct chords
    whole, melody, bridge, piano, chords = (values[1 + KIND * k : 8 + KIND * k] for k in range(5))
    assert melody.tolist() == pytest.approx([math.log1p(4 / 8), 4 / 28, 0, 0, 1, 0, 1])
    assert chords.tolist() == melody.tolist()
    assert bridge.tolist() == [0] * KIND  # silence is like nothing
    # Three bars in a row are no passage.
    assert piano.tolist() == pytest.approx([0, 3 / 28, 0, 0, 3 / 4, 0, 3 / 4])
    assert whole.tolist() == piano.tolist()
    silent, new, repeats = values[36:39], values[39:42], values[42:45]
    assert silent.tolist() == [0, 1, 0]
    assert new.tolist() == [0.5, 0, 5 / 8]
    assert repeats.tolist() == [0.5, 0, 3 / 8]
    assert values[45:].tolist() == [5 / 8, 2, 1, 0.5, 1, 8]


def test_without_chords_their_statistics_are_left_out():
    with_chords = plan_statistics(SECTIONS, FORM, CHORDS)
    without = plan_statistics(SECTIONS, FORM, None)
    assert len(with_chords) == len(without) + 1 + KIND
    assert without[:28].tolist() == with_chords[1:29].tolist()


def test_a_plan_is_chosen_by_the_ratio_of_densities():
    weights = np.array([math.log(3), 0.0])
    choice = PlanChoice(LogisticRegression(Standardiser(np.zeros(2), np.ones(2)), weights, 0.0))
    rng = np.random.default_rng(0)
    real, drawn = np.array([0.0, 5.0]), np.array([1.0, -5.0])
    chosen = [choice.choose([drawn, real], rng) for _ in range(4000)]
    assert np.mean(chosen) == pytest.approx(3 / 4, abs=0.02)


def test_choosing_brings_draws_to_the_distribution_of_real_ones():
    rng = np.random.default_rng(1)
    real, drawn = rng.normal(1.0, 1.0, (4000, 1)), rng.normal(0.0, 1.0, (4000, 1))
    choice = PlanChoice.fit(list(real), list(drawn))
    taken = []
    for _ in range(1000):
        candidates = list(rng.normal(0.0, 1.0, (24, 1)))
        taken.append(candidates[choice.choose(candidates, rng)][0])
    # The ratio is exp(x - 1/2); of 24 draws the mean falls a little short of 1.
    assert np.mean(taken) == pytest.approx(1.0, abs=0.12)


def test_a_choice_is_kept_and_a_crippled_one_refused():
    rng = np.random.default_rng(2)
    rows = list(rng.normal(size=(20, 3)))
    choice = PlanChoice.fit(rows[:10], rows[10:])
    content = json.loads(json.dumps(choice.to_json()))
    again = PlanChoice.from_file(ChoiceFile.model_validate(content))
    draws = [
        [item.choose(rows[:6], np.random.default_rng(s)) for s in range(40)]
        for item in (choice, again)
    ]
    assert draws[0] == draws[1]
    content["weights"].pop()
    with pytest.raises(ConfigurationError, match="different lengths"):
        PlanChoice.from_file(ChoiceFile.model_validate(content))


def test_few_songs_have_no_choice_and_many_have_one_that_is_saved(tmp_path):
    assert PlanPriors.fit(PLANS).choice is None
    many = [plan_of(TEXTS[index % len(TEXTS)], index) for index in range(64)]
    priors = PlanPriors.fit(many)
    assert priors.choice is not None
    path = tmp_path / "priors.json"
    priors.save(path)
    again = PlanPriors.load(path)
    plans = [item.draw(np.random.default_rng(3)) for item in (priors, again)]
    assert plans[0].statistics().tolist() == plans[1].statistics().tolist()

    values = json.loads(path.read_text())
    for name in ("mean", "scale", "weights"):
        values["choice"][name].pop()
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigurationError, match="42 weights where 43 belong"):
        PlanPriors.load(path)

    old = {name: part for name, part in values.items() if name != "choice"} | {"format_version": 1}
    path.write_text(json.dumps(old))
    first = replace(priors, choice=None).draw(np.random.default_rng(4))
    same = PlanPriors.load(path).draw(np.random.default_rng(4))
    assert same.form == first.form
    assert same.sections == first.sections


@pytest.fixture(scope="module")
def of_many() -> PlanPriors:
    return PlanPriors.fit([plan_of(TEXTS[index % len(TEXTS)], index) for index in range(64)])


def test_forms_are_chosen_whatever_the_chords(of_many):
    for seed in range(4):
        plan = of_many.draw(np.random.default_rng(seed))
        without = replace(of_many, chords=None).draw(np.random.default_rng(seed))
        assert (without.sections, without.form) == (plan.sections, plan.form)
        assert without.chords is None
        assert len(plan.chords) == plan.form.num_bars


def test_where_layout_and_form_are_given_nothing_is_chosen(of_many):
    plan = of_many.draw(np.random.default_rng(5))
    again = of_many.draw(np.random.default_rng(6), sections=plan.sections, form=plan.form)
    one = replace(of_many, choice=None)
    first = one.draw(np.random.default_rng(6), sections=plan.sections, form=plan.form)
    assert (again.sections, again.form) == (plan.sections, plan.form)
    assert np.array_equal(again.chords, first.chords)


def test_a_file_whose_choice_saw_chords_chooses_among_twelve_by_them(of_many, tmp_path):
    values = json.loads(json.dumps(of_many.to_json()))
    plans = [replace(of_many, choice=None).draw(np.random.default_rng(s)) for s in range(8)]
    rows = [plan.statistics() for plan in plans]
    choice = PlanChoice.fit(rows[:4], rows[4:]).to_json()
    del choice["sees_chords"]
    path = tmp_path / "priors.json"
    path.write_text(json.dumps(values | {"format_version": 2, "choice": choice}))

    old = PlanPriors.load(path)
    drawn = old.draw(np.random.default_rng(9))

    rng = np.random.default_rng(9)
    every = [replace(old, choice=None).draw(rng) for _ in range(12)]
    taken = every[old.choice.choose([plan.statistics() for plan in every], rng)]
    assert (drawn.form, drawn.chords.tolist()) == (taken.form, taken.chords.tolist())
