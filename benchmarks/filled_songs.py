"""Songs whose form is given and whose phrases are those of a real song, and what recurs in them."""

from collections.abc import Sequence

import numpy as np

from phrase_models.form.form_extraction import Slots, is_silent
from phrase_models.form.song_form import CellState, SongForm
from phrase_models.metrics.structure import note_ssm, section_recurrence
from phrase_models.score.song import Section
from phrase_models.tokens.song_layout import bars_to_song, slots_to_bars
from phrase_models.tokens.vocabulary import (
    EMPTY_SLOT,
    FIRST_DURATION,
    FIRST_ONSET,
    FIRST_PITCH,
)

THRESHOLDS = (0.5, 0.7, 0.9)


def fill(form: SongForm, donor: Slots) -> list[list[list[int]]]:
    """Each new cell gets the next distinct phrase of its slot of the donor, round and round.

    A repeat is its source; variations have its onsets and pitches with durations of a half, or its
    onsets with the pitches of the next phrase.
    """
    pools = [list(dict.fromkeys(_playing(donor, slot))) for slot in range(form.num_slots)]
    used = [0] * form.num_slots
    slots: list[list[list[int]]] = []
    for bar in range(form.num_bars):
        slots.append([])
        for slot in range(form.num_slots):
            state, source = form.states[bar, slot], int(form.sources[bar, slot])
            taken = [] if source < 0 else slots[source][slot]
            if state == CellState.SILENT or not pools[slot]:
                phrase = [EMPTY_SLOT]
            elif state == CellState.REPEATS:
                phrase = taken
            elif state == CellState.VARIES_NOTES:
                phrase = [_halved(token) for token in taken]
            else:
                phrase = list(pools[slot][used[slot] % len(pools[slot])])
                used[slot] += 1
                if state == CellState.VARIES_RHYTHM:
                    phrase = _with_pitches(taken, phrase)
            slots[bar].append(phrase)
    return slots


def _playing(donor: Slots, slot: int) -> list[tuple[int, ...]]:
    return [tuple(bar[slot]) for bar in donor if not is_silent(bar[slot])]


def _halved(token: int) -> int:
    return token if token < FIRST_DURATION else FIRST_DURATION + (token - FIRST_DURATION) // 2


def _with_pitches(phrase: Sequence[int], other: Sequence[int]) -> list[int]:
    """The first notes' pitches of `other`, onset by onset, on the onsets of `phrase`."""
    chords: list[list[int]] = []
    for token in other:
        if FIRST_ONSET <= token < FIRST_PITCH:
            chords.append([])
        elif token >= FIRST_PITCH:
            chords[-1].append(token)
    onsets = [token for token in phrase if FIRST_ONSET <= token < FIRST_PITCH]
    result = [phrase[0]]
    for index, onset in enumerate(onsets):
        result += [onset, *chords[index % len(chords)]]
    return result


def recurrence(slots: Slots, sections: Sequence[Section]) -> list[float]:
    """Note SRS at THRESHOLDS."""
    bars, _ = slots_to_bars(slots, "role")
    ssm = note_ssm(bars_to_song(bars, sections=sections))
    return [section_recurrence(ssm, threshold=threshold) for threshold in THRESHOLDS]


def mean_recurrence(
    forms: Sequence[tuple[Sequence[Section], SongForm]], donors: Sequence[Slots]
) -> np.ndarray:
    """(songs, 3) note SRS of forms filled from donors, in turn."""
    rows = [
        recurrence(fill(form, donors[index % len(donors)]), sections)
        for index, (sections, form) in enumerate(forms)
    ]
    return np.array(rows)
