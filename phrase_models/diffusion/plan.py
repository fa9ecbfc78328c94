"""What a song is asked to be: its length and sections, and these as numbers bar by bar.

Ids come from fixed ordered lists, so they are the same in every process; the released code
enumerates Python sets, whose order changes with the hash seed.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import ConfigurationError
from phrase_models.form.song_form import CellState, SongForm, relations
from phrase_models.form.texture import NUM_TEXTURE_VALUES, TEXTURE_ATTRIBUTES, UNKNOWN_TEXTURE
from phrase_models.form.texture_and_form import check_texture_of_form
from phrase_models.score.chords import CHORDS_PER_BAR, UNKNOWN_CHORD
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


@dataclass(frozen=True, slots=True, eq=False)
class SongPlan:
    """The request for one song.

    Attributes:
        num_bars: length, or None to leave it to the model.
        sections: contiguous from bar 0, or empty to leave them to the model.
        form: what repeats what and where a slot is silent, or None to leave it to the model.
        chords: (num_bars, 2), an id for each half of a bar, UNKNOWN_CHORD where it is left to the
            model; a read-only int64 copy. Or None to leave all of them.
        texture: (num_bars, S, 5), how full, held and high each cell is, UNKNOWN_TEXTURE where it is
            left to the model; a read-only int64 copy. Or None to leave all of it.
    """

    num_bars: int | None = None
    sections: tuple[Section, ...] = ()
    form: SongForm | None = None
    chords: NDArray[np.int64] | None = None
    texture: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name, values in (("chords", self.chords), ("texture", self.texture)):
            if values is not None:
                own = np.array(values, np.int64)
                own.setflags(write=False)
                object.__setattr__(self, name, own)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SongPlan) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def _values(self) -> tuple[object, ...]:
        arrays = (
            None if values is None else (values.shape, values.tobytes())
            for values in (self.chords, self.texture)
        )
        return self.num_bars, self.sections, self.form, *arrays

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
    """Complete the length from the sections, form, chords or texture and refuse what cannot be met.

    Raises:
        ConfigurationError: if the plan is longer than `max_bars`, empty or contradicts itself.
    """
    num_bars = plan.num_bars
    for part in (plan.form.states if plan.form else None, plan.chords, plan.texture):
        if num_bars is None and part is not None and not plan.sections:
            num_bars = len(part)
    num_bars = plan_from_layout(plan.section_layout, num_bars).num_bars
    if num_bars is None:
        return plan
    if num_bars > max_bars:
        message = (
            f"A song of {num_bars} bars was asked for, but this model writes at most "
            f"{max_bars}; ask for fewer bars."
        )
        raise ConfigurationError(message)
    if num_bars < 1:
        message = f"A song of {num_bars} bars was asked for; ask for at least 1."
        raise ConfigurationError(message)
    if plan.form is not None and plan.form.num_bars != num_bars:
        message = (
            f"The form has {plan.form.num_bars} bars but the song {num_bars}; make them agree."
        )
        raise ConfigurationError(message)
    if plan.chords is not None and plan.chords.shape != (num_bars, CHORDS_PER_BAR):
        message = (
            f"There are chords for {len(plan.chords)} bars but the song has {num_bars}, "
            f"with {CHORDS_PER_BAR} chords each; make them agree."
        )
        raise ConfigurationError(message)
    if plan.texture is not None and len(plan.texture) != num_bars:
        message = (
            f"There is a texture of {len(plan.texture)} bars but the song has {num_bars}; make "
            "them agree."
        )
        raise ConfigurationError(message)
    if plan.texture is not None and plan.form is not None:
        check_texture_of_form(plan.texture, plan.form)
    return replace(plan, num_bars=num_bars)


def check_vocabulary(plan: SongPlan, num_slots: int, num_chords: int) -> None:
    """Refuse a form of other slots, and chords that a model does not know.

    Args:
        plan: of a song.
        num_slots: slots a bar.
        num_chords: chord ids that are known; 0 where chords are not looked at.

    Raises:
        ConfigurationError: if the plan has others.
    """
    if plan.form is not None and plan.form.num_slots != num_slots:
        message = f"The form has {plan.form.num_slots} slots a bar, but the songs {num_slots}."
        raise ConfigurationError(message)
    if plan.texture is not None:
        _check_texture(plan.texture, num_slots)
    if plan.chords is None or not num_chords:
        return
    if plan.chords.min() < UNKNOWN_CHORD or plan.chords.max() >= num_chords:
        message = (
            f"The chords have ids from {plan.chords.min()} to {plan.chords.max()}, but this model "
            f"knows {UNKNOWN_CHORD} (left open) to {num_chords - 1}."
        )
        raise ConfigurationError(message)


def _check_texture(texture: NDArray[np.int64], num_slots: int) -> None:
    wanted = (len(texture), num_slots, len(TEXTURE_ATTRIBUTES))
    if texture.shape != wanted:
        message = (
            f"The texture has {' x '.join(map(str, texture.shape))} numbers (bars, cells a bar, "
            f"numbers a cell), but the songs need {' x '.join(map(str, wanted))}."
        )
        raise ConfigurationError(message)
    if texture.min(initial=0) < UNKNOWN_TEXTURE or texture.max(initial=0) >= NUM_TEXTURE_VALUES:
        message = (
            f"The texture has numbers from {texture.min()} to {texture.max()}, but there are "
            f"{UNKNOWN_TEXTURE} (left open) to {NUM_TEXTURE_VALUES - 1}."
        )
        raise ConfigurationError(message)


@dataclass(frozen=True, slots=True)
class PlanFeatures:
    """A plan of N bars and K sections as integers; 0 is absent throughout.

    Attributes:
        num_bars: N.
        bars: (N, 5), the BAR_FEATURES of each bar.
        matching_bar: (N,), index of the same bar of the previous section of the same label,
            NO_MATCH where there is none.
        prompt: (K, 4), the PROMPT_FEATURES of each section; `start_bar` counts from 0.
        section_classes: (N,), equal at the same bar of all sections of one label.
        states: (N, S), 1 + CellState of each cell; None without a form.
        classes: (3, S, N), of RELATION_KINDS: equal where cells of a slot are alike in that way;
            None without a form.
        chords: (N, 2), 1 + id of each half bar; None without chords.
        texture: (N, S, 5), 1 + the number of each attribute; None without a texture.
    """

    num_bars: int
    bars: NDArray[np.int64]
    matching_bar: NDArray[np.int64]
    prompt: NDArray[np.int64]
    section_classes: NDArray[np.int64]
    states: NDArray[np.int64] | None = None
    classes: NDArray[np.int64] | None = None
    chords: NDArray[np.int64] | None = None
    texture: NDArray[np.int64] | None = None


def plan_features(
    num_bars: int,
    sections: tuple[Section, ...],
    form: SongForm | None = None,
    chords: NDArray[np.int64] | None = None,
    texture: NDArray[np.int64] | None = None,
) -> PlanFeatures:
    """Describe every bar of a plan; nothing beyond `num_bars` is allowed.

    Args:
        num_bars: N.
        sections: of the song, or none.
        form: of N bars, or None.
        chords: (N, 2) ids, UNKNOWN_CHORD where there is none, or None.
        texture: (N, S, 5), UNKNOWN_TEXTURE where there is none, or None.
    """
    bars = np.zeros((num_bars, len(BAR_FEATURES)), np.int64)
    matching = np.full(num_bars, NO_MATCH, np.int64)
    prompt = np.zeros((len(sections), len(PROMPT_FEATURES)), np.int64)
    section_classes = np.zeros(num_bars, np.int64)
    first_class: dict[str, int] = {}
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
        # Labels are kept apart by more than any section has bars.
        first = first_class.setdefault(label, 1 + num_bars * len(first_class))
        section_classes[start : start + length] = first + offsets
        if label in latest:
            shared = min(length, latest[label].num_bars)
            matching[start : start + shared] = latest[label].start_bar + offsets[:shared]
        latest[label] = section
    return PlanFeatures(
        num_bars,
        bars,
        matching,
        prompt,
        section_classes,
        None if form is None else 1 + form.states.astype(np.int64),
        None if form is None else form_classes(form),
        None if chords is None else 1 + np.asarray(chords, np.int64),
        None if texture is None else 1 + np.asarray(texture, np.int64),
    )


def features_of_plan(plan: SongPlan, num_bars: int) -> PlanFeatures:
    """`plan_features` of all that a plan says, at `num_bars` bars."""
    return plan_features(num_bars, plan.sections, plan.form, plan.chords, plan.texture)


def form_classes(form: SongForm) -> NDArray[np.int64]:
    """Which bars of a slot a form ties to each other, as one number a bar.

    Returns:
        (3, S, N), RELATION_KINDS in order: 1 + the first bar of the cell's class; 0 at silent
        cells. Two cells of a slot are alike where their numbers are equal and not 0.
    """
    alike = relations(form) | np.eye(form.num_bars, dtype=np.bool_)
    plays = (form.states != CellState.SILENT).T
    return np.where(plays, 1 + alike.argmax(axis=-1), 0)


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
