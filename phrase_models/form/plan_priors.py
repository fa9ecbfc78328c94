"""Priors of layouts, forms and chords in one: plans drawn as the training songs have them.

A layout is drawn first, then a form given the layout, then chords given both, each from a
distribution that was fitted by counting (`layout_prior`, `form_prior`, `chord_prior`); of several
layouts with their forms one is taken that looks as a whole as real ones do (`plan_choice`). No
training song's plan is kept or copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from phrase_models.errors import ConfigurationError
from phrase_models.form.chord_prior import ChordPrior, ChordsFile
from phrase_models.form.form_decisions import MELODY, SECTION_ROLES
from phrase_models.form.form_prior import FormPrior, FormsFile
from phrase_models.form.layout_prior import LayoutPrior, LayoutsFile
from phrase_models.form.plan_choice import ChoiceFile, PlanChoice
from phrase_models.form.plan_statistics import plan_statistics
from phrase_models.form.song_form import NO_SOURCE, SLOT_NAMES, CellState, SongForm
from phrase_models.model_files import LARGE_JSON, read_json_object, unusable
from phrase_models.score.chords import CHORDS_PER_BAR
from phrase_models.score.song import MAX_BARS, Section
from phrase_models.whole_files import write_whole_json

PRIORS_FILE = "priors.json"
FORMAT_VERSION = 3
"""2 has the choice, which looked at chords until 3; older files are read, and draw as they did."""
_NUM_LAYOUTS = 100
"""Layouts drawn to find one that is short enough, before one of the greatest length is drawn."""
_NUM_CANDIDATES = 12
"""Plans drawn to take one."""
_LONG_SECTION = 8
"""Bars."""
_MIN_SONGS = 64
"""Training songs from which on the choice is fitted; of fewer it would learn what is chance."""
_MOST_SONGS, _DRAWN_PER_SONG = 400, 3
"""What the choice is fitted to."""


class PriorsFile(BaseModel):
    """What `PlanPriors.to_json` gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    layouts: LayoutsFile
    forms: FormsFile
    chords: ChordsFile | None
    choice: ChoiceFile | None = None


class KnownPlan(Protocol):
    """Sections contiguous from bar 0, form and chords of a song, as far as they are known."""

    @property
    def sections(self) -> tuple[Section, ...]:
        """Empty where they are not known."""

    @property
    def form(self) -> SongForm | None:
        """None where it is not known."""

    @property
    def chords(self) -> NDArray[np.int64] | None:
        """(num_bars, 2) ids, negative ones unknown, or None."""


@dataclass(frozen=True, slots=True)
class DrawnPlan:
    """What the priors draw for a song of N bars.

    Attributes:
        sections: contiguous from bar 0, N bars together.
        form: of N bars.
        chords: (N, 2) ids, or None from priors of songs without chords.
    """

    sections: tuple[Section, ...]
    form: SongForm
    chords: NDArray[np.int64] | None

    def statistics(self) -> NDArray[np.float64]:
        """See `plan_statistics`."""
        return plan_statistics(self.sections, self.form, self.chords)

    @property
    def is_sung(self) -> bool:
        """Whether there is melody in all long sung sections, as there is in POP909.

        If all drawn plans lack that, it is how the songs are: then it decides nothing.
        """
        return not any(
            section.num_bars >= _LONG_SECTION
            and section.label not in SECTION_ROLES
            and (_states_of(self.form, section)[:, MELODY] == CellState.SILENT).all()
            for section in self.sections
        )


def _states_of(form: SongForm, section: Section) -> NDArray[np.int8]:
    """(bars of the section, S)."""
    return form.states[section.start_bar : section.start_bar + section.num_bars]


@dataclass(frozen=True, slots=True)
class PlanPriors:
    """The fitted priors; immutable by convention.

    Attributes:
        layouts: of sections.
        forms: given sections.
        chords: given sections and form, or None where no training song had chords.
        choice: among drawn plans; None takes the first.
    """

    layouts: LayoutPrior
    forms: FormPrior
    chords: ChordPrior | None
    choice: PlanChoice | None = None

    @classmethod
    def fit(cls, plans: Sequence[KnownPlan]) -> Self:
        """Fit to the plans of training songs.

        Takes some 40 seconds for the 708 training songs of POP909, half of it for the calibration
        of forms and half for the choice.

        Args:
            plans: those without sections or form are passed over (see `can_be_fitted`), and for
                the chords those without, or with unknown ones.

        Raises:
            ConfigurationError: if no plan has sections and a form.
        """
        known = [(plan, form) for plan in plans if (form := _form_of(plan)) is not None]
        if not known:
            message = "Priors need at least one training song with sections and a form."
            raise ConfigurationError(message)
        with_chords = [
            (plan.sections, form, plan.chords)
            for plan, form in known
            if plan.chords is not None and (plan.chords >= 0).all()
        ]
        priors = cls(
            LayoutPrior.fit([plan.sections for plan, _ in known]),
            FormPrior.fit([(plan.sections, form) for plan, form in known]),
            ChordPrior.fit(with_chords) if with_chords else None,
        )
        return replace(priors, choice=priors._fitted_choice(known))

    def _fitted_choice(self, songs: Sequence[tuple[KnownPlan, SongForm]]) -> PlanChoice | None:
        """What tells layouts and forms that are drawn from these of training songs.

        Chords are not looked at: in songs they are mostly those of a training song, and what is
        chosen for its chords is not chosen for its form.
        """
        if len(songs) < _MIN_SONGS:
            return None
        rng = np.random.default_rng(0)
        real = [
            DrawnPlan(plan.sections, form, None)
            for plan, form in songs[:: -(-len(songs) // _MOST_SONGS)]
        ]
        forms = replace(self, chords=None)
        drawn = [forms.draw(rng) for _ in range(_DRAWN_PER_SONG * len(real))]
        return PlanChoice.fit(
            [plan.statistics() for plan in real], [plan.statistics() for plan in drawn]
        )

    def draw(
        self,
        rng: np.random.Generator,
        num_bars: int | None = None,
        sections: tuple[Section, ...] = (),
        form: SongForm | None = None,
        *,
        max_bars: int = MAX_BARS,
    ) -> DrawnPlan:
        """Draw what is not given of a plan.

        Args:
            rng: where the draws come from.
            num_bars: length of the song, where neither sections nor form give it; drawn if None.
            sections: contiguous from bar 0, kept; drawn if empty.
            form: of three slots, kept; drawn if None.
            max_bars: length that a drawn layout may have at most.

        Raises:
            ConfigurationError: if sections and form are of other lengths.
        """
        choice = self.choice
        nothing_to_choose = sections and form is not None
        if choice is None or (nothing_to_choose and not choice.sees_chords):
            plan = self._form_plan(rng, num_bars, sections, form, max_bars)
            return self._with_chords(plan, rng)
        candidates = []
        for _ in range(_NUM_CANDIDATES):
            plan = self._form_plan(rng, num_bars, sections, form, max_bars)
            candidates.append(self._with_chords(plan, rng) if choice.sees_chords else plan)
        candidates = [plan for plan in candidates if plan.is_sung] or candidates
        chosen = choice.choose([plan.statistics() for plan in candidates], rng)
        return self._with_chords(candidates[chosen], rng)

    def _form_plan(
        self,
        rng: np.random.Generator,
        num_bars: int | None,
        sections: tuple[Section, ...],
        form: SongForm | None,
        max_bars: int,
    ) -> DrawnPlan:
        """A layout with a form."""
        if form is not None:
            num_bars = form.num_bars
        layout = sections or self.draw_layout(rng, num_bars, max_bars)
        form = self.forms.sample(layout, rng) if form is None else form
        return DrawnPlan(layout, form, None)

    def _with_chords(self, plan: DrawnPlan, rng: np.random.Generator) -> DrawnPlan:
        """A plan with chords, where it has none and there is a prior of them."""
        if plan.chords is not None or self.chords is None:
            return plan
        return replace(plan, chords=self.chords.sample(plan.sections, plan.form, rng))

    def draw_layout(
        self, rng: np.random.Generator, num_bars: int | None = None, max_bars: int = MAX_BARS
    ) -> tuple[Section, ...]:
        """Sections of a song of `num_bars` bars, else of `max_bars` at most."""
        if num_bars is not None:
            return self.layouts.sample(rng, num_bars)
        for _ in range(_NUM_LAYOUTS):
            layout = self.layouts.sample(rng)
            if sum(section.num_bars for section in layout) <= max_bars:
                return layout
        return self.layouts.sample(rng, max_bars)

    def to_json(self) -> dict[str, Any]:
        """Values for `json.dump`."""
        return {
            "format_version": FORMAT_VERSION,
            "layouts": self.layouts.to_json(),
            "forms": self.forms.to_json(),
            "chords": None if self.chords is None else self.chords.to_json(),
            "choice": None if self.choice is None else self.choice.to_json(),
        }

    def save(self, path: Path) -> None:
        """Write a JSON file, from which the same plans are drawn: equal priors, equal bytes."""
        write_whole_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ConfigurationError: if it is missing, damaged, or of a newer format.
        """
        file = read_json_object(path, LARGE_JSON)
        file.known_format(FORMAT_VERSION)
        values = file.as_a(PriorsFile)
        try:
            return cls(
                LayoutPrior.from_file(values.layouts),
                FormPrior.from_file(values.forms),
                None if values.chords is None else ChordPrior.from_file(values.chords),
                _choice_of(values),
            )
        except ConfigurationError as error:
            raise unusable(path, str(error)) from error


def can_be_fitted(plans: Sequence[KnownPlan]) -> bool:
    """Whether there is a plan to fit priors to: one with sections and a form of three slots."""
    return any(_form_of(plan) is not None for plan in plans)


def _choice_of(values: PriorsFile) -> PlanChoice | None:
    """The choice of a file, with a weight for each statistic of its plans.

    Raises:
        ConfigurationError: if it has others.
    """
    if values.choice is None:
        return None
    choice = PlanChoice.from_file(values.choice)
    shape = (1, len(SLOT_NAMES))
    one_bar = SongForm(np.full(shape, CellState.NEW, np.int8), np.full(shape, NO_SOURCE))
    seen = choice.sees_chords and values.chords is not None
    chords = np.zeros((1, CHORDS_PER_BAR), np.int64) if seen else None
    wanted = len(plan_statistics((Section("A", 0, 1),), one_bar, chords))
    if choice.num_statistics != wanted:
        message = f"choice has {choice.num_statistics} weights where {wanted} belong"
        raise ConfigurationError(message)
    return choice


def _form_of(plan: KnownPlan) -> SongForm | None:
    """The form of a plan that priors can be fitted to."""
    if not plan.sections or plan.form is None or plan.form.num_slots != len(SLOT_NAMES):
        return None
    num_bars = sum(section.num_bars for section in plan.sections)
    return plan.form if plan.form.num_bars == num_bars else None
