"""What a song is asked to be: its length and sections, and these as numbers bar by bar.

Ids come from fixed ordered lists, so they are the same in every process; the released code
enumerates Python sets, whose order changes with the hash seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.score.song import Section, format_section_layout, parse_section_layout

ROLES = ("absent", "i", "o", "x", "b", "X", "sung", "other")
"""Intro, outro, interludes (x, X), bridge; "sung" is any other upper-case letter."""
LETTERS = ("none", "A", "B", "C", "D", "E", "other")
NUM_PERMUTED_LETTERS = 5
MAX_SECTION_BARS = 32
MAX_OCCURRENCES = 8

BAR_FEATURES = ("role", "letter", "bar_in_section", "bars_to_section_end", "occurrence")
BAR_FEATURE_SIZES = (
    len(ROLES),
    len(LETTERS),
    MAX_SECTION_BARS + 1,
    MAX_SECTION_BARS + 1,
    MAX_OCCURRENCES + 1,
)
"""Number of values of each feature; 0 always means absent."""
LETTER_FEATURE = BAR_FEATURES.index("letter")

PROMPT_FEATURES = ("role", "letter", "num_bars", "start_bar")
NO_MATCH = -1


@dataclass(frozen=True, slots=True)
class SongPlan:
    """The request for one song.

    Attributes:
        num_bars: length, or None to leave it to the model.
        sections: contiguous from bar 0, or empty to leave them to the model.
    """

    num_bars: int | None = None
    sections: tuple[Section, ...] = ()

    @property
    def section_layout(self) -> str:
        """The sections as "i4 A8 b4"; empty where there are none."""
        return format_section_layout(self.sections)


def plan_from_layout(layout: str | None, num_bars: int | None = None) -> SongPlan:
    """Read "i4 A8 B8" (or nothing) into a plan.

    Raises:
        ConfigurationError: if it is no layout, or its bars do not add up to `num_bars`.
    """
    if not layout:
        return SongPlan(num_bars)
    try:
        sections = parse_section_layout(layout)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    total = sum(section.num_bars for section in sections)
    if num_bars is not None and total != num_bars:
        message = (
            f"Section layout {layout!r} has {total} bars but {num_bars} were asked for; "
            "make them agree or leave one out."
        )
        raise ConfigurationError(message)
    return SongPlan(total, sections)


def check_plan(plan: SongPlan, max_bars: int) -> SongPlan:
    """Complete the length from the sections and refuse what cannot be met.

    Raises:
        ConfigurationError: if the plan is longer than `max_bars`, empty or contradicts itself.
    """
    checked = plan_from_layout(plan.section_layout, plan.num_bars)
    if checked.num_bars is None:
        return checked
    if checked.num_bars > max_bars:
        message = (
            f"A song of {checked.num_bars} bars was asked for, but this model writes at most "
            f"{max_bars}; ask for fewer bars."
        )
        raise ConfigurationError(message)
    if checked.num_bars < 1:
        message = f"A song of {checked.num_bars} bars was asked for; ask for at least 1."
        raise ConfigurationError(message)
    return checked


@dataclass(frozen=True, slots=True)
class PlanFeatures:
    """A plan of N bars and K sections as integers; 0 is absent throughout.

    Attributes:
        num_bars: N.
        bars: (N, 5), the BAR_FEATURES of each bar.
        matching_bar: (N,), index of the same bar of the previous section of the same label,
            NO_MATCH where there is none.
        prompt: (K, 4), the PROMPT_FEATURES of each section; `start_bar` counts from 0.
    """

    num_bars: int
    bars: NDArray[np.int64]
    matching_bar: NDArray[np.int64]
    prompt: NDArray[np.int64]


def plan_features(num_bars: int, sections: tuple[Section, ...]) -> PlanFeatures:
    """Describe every bar of a plan; sections beyond `num_bars` are not allowed."""
    bars = np.zeros((num_bars, len(BAR_FEATURES)), np.int64)
    matching = np.full(num_bars, NO_MATCH, np.int64)
    prompt = np.zeros((len(sections), len(PROMPT_FEATURES)), np.int64)
    latest: dict[str, Section] = {}
    occurrences: dict[str, int] = {}
    for index, section in enumerate(sections):
        label, start, length = section.label, section.start_bar, section.num_bars
        occurrences[label] = occurrences.get(label, 0) + 1
        role, letter = label_ids(label)
        prompt[index] = role, letter, min(length, MAX_SECTION_BARS), start
        offsets = np.arange(length)
        bars[start : start + length] = np.stack(
            (
                np.full(length, role),
                np.full(length, letter),
                1 + np.minimum(offsets, MAX_SECTION_BARS - 1),
                1 + np.minimum(offsets[::-1], MAX_SECTION_BARS - 1),
                np.full(length, min(occurrences[label], MAX_OCCURRENCES)),
            ),
            axis=1,
        )
        if label in latest:
            shared = min(length, latest[label].num_bars)
            matching[start : start + shared] = latest[label].start_bar + offsets[:shared]
        latest[label] = section
    return PlanFeatures(num_bars, bars, matching, prompt)


def label_ids(label: str) -> tuple[int, int]:
    """Ids of role and letter; labels beyond the lists share one id."""
    if label in ROLES:
        return ROLES.index(label), 0
    if label.isupper():
        letter = LETTERS.index(label) if label in LETTERS else LETTERS.index("other")
        return ROLES.index("sung"), letter
    return ROLES.index("other"), 0


def permuted_letters(rng: np.random.Generator) -> NDArray[np.int64]:
    """A table that renames the letters A to E at random and leaves all other ids.

    Letters then say which sections recur, not which kind they are, and a plan identifies its
    training song less.
    """
    table = np.arange(len(LETTERS))
    table[1 : 1 + NUM_PERMUTED_LETTERS] = 1 + rng.permutation(NUM_PERMUTED_LETTERS)
    return table
