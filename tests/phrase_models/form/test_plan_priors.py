"""The priors of layout, form and chords together: what is given stays, what is saved comes back."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.form_text import parse_form
from phrase_models.form.plan_priors import PRIORS_FILE, DrawnPlan, PlanPriors, can_be_fitted
from phrase_models.form.song_form import SongForm
from phrase_models.score.song import MAX_BARS, Section, parse_section_layout
from phrase_models.training.randomness import numpy_generator

SECTIONS = parse_section_layout("i2 A4 A4 o2")
FORM = parse_form("""
melody . .  * * * *  =3 ~4 ^5 =6  . *
bridge * =1 . . * .  .  .  =5 .   * .
piano  * =1 * * * *  =3 =4 =5 =6  * =11
""")


@dataclass(frozen=True)
class Plan:
    sections: tuple[Section, ...] = ()
    form: SongForm | None = None
    chords: np.ndarray | None = None


def plan_of(text: str, index: int) -> Plan:
    """A song whose sections of a label are equal."""
    sections = parse_section_layout(text)
    slots = [
        [[500 + ord(section.label), 600 + place, slot] for slot in range(3)]
        for section in sections
        for place in range(section.num_bars)
    ]
    chords = numpy_generator("chords", index).integers(1, 49, size=(len(slots), 2))
    return Plan(sections, form_of_slots(slots, sections), chords)


TEXTS = ["i4 A8 B8 o4", "i4 A8 A8 B8 o2", "A8 B8 A8 B8", "i2 A4 B4 X2 A4 B4 o4", "i4 A8"] * 2
PLANS = [plan_of(text, index) for index, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def priors() -> PlanPriors:
    return PlanPriors.fit(PLANS)


def draws(priors, number=6, **given):
    return [priors.draw(numpy_generator("plan", 0, index), **given) for index in range(number)]


def same(first, second):
    parts = first.sections == second.sections and first.form == second.form
    return parts and np.array_equal(first.chords, second.chords)


def num_bars(sections):
    return sum(section.num_bars for section in sections)


def test_a_plan_is_decided_by_its_generator_and_its_parts_fit_together(priors):
    first, again = draws(priors), draws(priors)
    assert all(map(same, first, again))
    assert len({plan.sections for plan in first}) > 1
    for plan in first:
        assert num_bars(plan.sections) == plan.form.num_bars == len(plan.chords) <= MAX_BARS
        assert plan.chords.min() >= 0
        assert plan.chords.max() < 49


def test_what_is_given_is_kept(priors):
    assert all(num_bars(plan.sections) == 21 for plan in draws(priors, num_bars=21))
    of_layout = draws(priors, sections=SECTIONS)
    assert {plan.sections for plan in of_layout} == {SECTIONS}
    assert len({plan.form for plan in of_layout}) > 1
    of_form = draws(priors, form=FORM)
    assert {plan.form for plan in of_form} == {FORM}
    assert {num_bars(plan.sections) for plan in of_form} == {12}
    of_both = draws(priors, sections=SECTIONS, form=FORM)
    assert {(plan.sections, plan.form) for plan in of_both} == {(SECTIONS, FORM)}
    assert len({plan.chords.tobytes() for plan in of_both}) > 1


def test_a_form_of_another_length_than_its_sections_is_refused(priors):
    with pytest.raises(ConfigurationError, match="The layout has 8 bars, but its form has 12"):
        draws(priors, 1, sections=parse_section_layout("A8"), form=FORM)


@pytest.mark.parametrize("bound", [40, 8, 1])
def test_a_drawn_layout_is_no_longer_than_the_model_can_write(priors, bound):
    lengths = [plan.form.num_bars for plan in draws(priors, 12, max_bars=bound)]
    assert max(lengths) <= bound
    assert max(plan.form.num_bars for plan in draws(priors, 12)) > 8


def test_saved_priors_draw_the_same_and_are_the_same_bytes(priors, tmp_path):
    priors.save(tmp_path / PRIORS_FILE)
    loaded = PlanPriors.load(tmp_path / PRIORS_FILE)
    assert all(map(same, draws(priors, 12), draws(loaded, 12)))
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / PRIORS_FILE).read_bytes()
    PlanPriors.fit(PLANS).save(tmp_path / "fitted.json")
    assert (tmp_path / "fitted.json").read_bytes() == (tmp_path / PRIORS_FILE).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {PRIORS_FILE, "again.json", "fitted.json"}


def test_songs_that_say_nothing_are_passed_over(priors, tmp_path):
    silent = [Plan(), Plan(SECTIONS), Plan((), FORM), Plan(parse_section_layout("A8"), FORM)]
    other_slots = SongForm(np.ones((12, 2), np.int8), np.full((12, 2), -1))
    unknown = np.full((12, 2), -1)
    assert not can_be_fitted([*silent, Plan(SECTIONS, other_slots)])
    with pytest.raises(ConfigurationError, match="at least one training song with sections and"):
        PlanPriors.fit(silent)
    assert all(map(same, draws(PlanPriors.fit([*silent, *PLANS])), draws(priors)))
    # A song with a form counts for layouts and forms, even if its chords are unknown.
    without = PlanPriors.fit([replace(PLANS[0], chords=None), Plan(SECTIONS, FORM, unknown)])
    assert can_be_fitted([Plan(SECTIONS, FORM, unknown)])
    without.save(tmp_path / PRIORS_FILE)
    for fitted in (without, PlanPriors.load(tmp_path / PRIORS_FILE)):
        assert [plan.chords for plan in draws(fitted, 2)] == [None, None]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "it is missing"),
        ("{", "it is damaged, or of another kind"),
        ("[]", "it is no JSON object"),
        ('{"format_version": 1}', "layouts is missing"),
        (json.dumps({"format_version": 9}), "has format 9, this program reads up to 3"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, content, words):
    if content is not None:
        (tmp_path / PRIORS_FILE).write_text(content)
    with pytest.raises(ConfigurationError, match=words):
        PlanPriors.load(tmp_path / PRIORS_FILE)


def plan_with_melody(layout: str, melody: str) -> DrawnPlan:
    piano = " ".join("*" for _ in melody.split())
    form = parse_form(f"melody {melody}\nbridge {piano}\npiano {piano}")
    return DrawnPlan(parse_section_layout(layout), form, None)


@pytest.mark.parametrize(
    ("layout", "melody", "sung"),
    [
        ("i2 A8", ". . . . . . . . . *", True),
        ("i2 A8", "* * . . . . . . . .", False),
        ("A8 B8", "* . . . . . . . . . . . . . . .", False),
        ("A8 X8", "* . . . . . . . . . . . . . . .", True),
        ("A8 b8", "* . . . . . . . . . . . . . . .", True),
        ("A3 B7", "* * * . . . . . . .", True),
    ],
)
def test_a_plan_is_sung_if_all_its_long_sung_sections_have_melody(layout, melody, sung):
    assert plan_with_melody(layout, melody).is_sung == sung


class TakesTheFirst:
    sees_chords = False

    def choose(self, candidates, rng):
        return 0


@pytest.mark.parametrize("any_sung", [True, False])
def test_of_drawn_plans_one_that_is_sung_is_taken_if_there_is_any(priors, monkeypatch, any_sung):
    silent, sung = (plan_with_melody("A8", f"{cell} . . . . . . .") for cell in ".*")
    coming = iter([*[silent] * 11, sung if any_sung else silent])
    monkeypatch.setattr(PlanPriors, "_form_plan", lambda *_: next(coming))
    choosing = replace(priors, chords=None, choice=TakesTheFirst())
    drawn = choosing.draw(np.random.default_rng(0), form=None)
    assert drawn.form == (sung if any_sung else silent).form
