"""Priors of layouts, forms and chords in one: plans drawn as the training songs have them.

A layout is drawn first, then a form given the layout, then chords given both, each from a
distribution that was fitted by counting (`layout_prior`, `form_prior`, `chord_prior`). No training
song's plan is kept or copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from phrase_models.errors import ConfigurationError
from phrase_models.form.chord_prior import ChordPrior, ChordsFile
from phrase_models.form.form_prior import FormPrior, FormsFile
from phrase_models.form.layout_prior import LayoutPrior, LayoutsFile
from phrase_models.form.song_form import SLOT_NAMES, SongForm
from phrase_models.model_files import LARGE_JSON, read_json_object, unusable
from phrase_models.score.song import MAX_BARS, Section
from phrase_models.whole_files import write_whole_json

PRIORS_FILE = "priors.json"
FORMAT_VERSION = 1
_NUM_LAYOUTS = 100
"""Layouts drawn to find one that is short enough, before one of the greatest length is drawn."""


class PriorsFile(BaseModel):
    """What `PlanPriors.to_json` gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    layouts: LayoutsFile
    forms: FormsFile
    chords: ChordsFile | None


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


@dataclass(frozen=True, slots=True)
class PlanPriors:
    """The fitted priors; immutable by convention.

    Attributes:
        layouts: of sections.
        forms: given sections.
        chords: given sections and form, or None where no training song had chords.
    """

    layouts: LayoutPrior
    forms: FormPrior
    chords: ChordPrior | None

    @classmethod
    def fit(cls, plans: Sequence[KnownPlan]) -> Self:
        """Fit to the plans of training songs.

        Takes 22 seconds for the 708 training songs of POP909, 20 of them for the calibration of
        forms.

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
        return cls(
            LayoutPrior.fit([plan.sections for plan, _ in known]),
            FormPrior.fit([(plan.sections, form) for plan, form in known]),
            ChordPrior.fit(with_chords) if with_chords else None,
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
        if form is not None:
            num_bars = form.num_bars
        layout = sections or self._layout(rng, num_bars, max_bars)
        if form is None:
            form = self.forms.sample(layout, rng)
        chords = None if self.chords is None else self.chords.sample(layout, form, rng)
        return DrawnPlan(layout, form, chords)

    def _layout(
        self, rng: np.random.Generator, num_bars: int | None, max_bars: int
    ) -> tuple[Section, ...]:
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
            )
        except ConfigurationError as error:
            raise unusable(path, str(error)) from error


def can_be_fitted(plans: Sequence[KnownPlan]) -> bool:
    """Whether there is a plan to fit priors to: one with sections and a form of three slots."""
    return any(_form_of(plan) is not None for plan in plans)


def _form_of(plan: KnownPlan) -> SongForm | None:
    """The form of a plan that priors can be fitted to."""
    if not plan.sections or plan.form is None or plan.form.num_slots != len(SLOT_NAMES):
        return None
    num_bars = sum(section.num_bars for section in plan.sections)
    return plan.form if plan.form.num_bars == num_bars else None
