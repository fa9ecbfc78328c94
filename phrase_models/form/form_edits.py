"""A form put upon tokens, held against tokens, and loosened."""

import numpy as np

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_extraction import Slots, is_silent
from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm
from phrase_models.tokens.vocabulary import EMPTY_SLOT


def apply_form(slots: Slots, form: SongForm) -> list[list[list[int]]]:
    """Tokens in which silent cells are empty and repeats equal their sources.

    Args:
        slots: token ids (N, S, any length).
        form: of N bars and S slots. New and varied cells keep the tokens they have.

    Raises:
        ConfigurationError: if bars or slots are not those of the form.
    """
    if len(slots) != form.num_bars or any(len(bar) != form.num_slots for bar in slots):
        message = (
            f"The form has {form.num_bars} bars of {form.num_slots} slots, but the song has "
            f"{len(slots)} bars; take the form of a song of that length."
        )
        raise ConfigurationError(message)
    result: list[list[list[int]]] = []
    for bar, phrases in enumerate(slots):
        result.append([])
        for slot, phrase in enumerate(phrases):
            state, source = form.states[bar, slot], int(form.sources[bar, slot])
            if state == CellState.SILENT:
                result[bar].append([EMPTY_SLOT])
            elif state == CellState.REPEATS:
                result[bar].append(list(result[source][slot]))
            else:
                result[bar].append(list(phrase))
    return result


def obeyed(form: SongForm, slots: Slots) -> float:
    """Share of cells whose tokens do what the form says.

    Silent cells must hold no note, all others some note, and repeats the tokens of their source;
    how a varied cell varies is not asked. Bars that only one of both has count as disobeyed.

    Args:
        form: of N bars and S slots.
        slots: token ids (any number of bars, S, any length).
    """
    shared = min(form.num_bars, len(slots))
    kept = sum(
        _is_obeyed(form, slots, bar, slot) for bar, slot in np.ndindex(shared, form.num_slots)
    )
    return kept / (max(form.num_bars, len(slots)) * form.num_slots)


def _is_obeyed(form: SongForm, slots: Slots, bar: int, slot: int) -> bool:
    state, phrase = form.states[bar, slot], slots[bar][slot]
    if is_silent(phrase):
        return bool(state == CellState.SILENT)
    if state == CellState.REPEATS:
        return list(phrase) == list(slots[form.sources[bar, slot]][slot])
    return bool(state != CellState.SILENT)


def scale_repeats(form: SongForm, variation: float, rng: np.random.Generator) -> SongForm:
    """Loosen exact repetition: repeats become variations in durations.

    A run (bars of a slot in a row that repeat bars in a row) stays or varies as a whole, as people
    vary a line and not single bars. Each run draws one number, so that with equal generators a
    higher `variation` varies all that a lower one does, and more.

    Args:
        form: to be loosened; nothing but REPEATS changes.
        variation: chance of a run to vary, 0 (the form as it is) to 1 (no exact repeat is left).
        rng: where the draws come from.

    Raises:
        ConfigurationError: for a variation outside 0 to 1.
    """
    if not 0.0 <= variation <= 1.0:
        message = f"A variation of {variation} was asked for; it goes from 0 to 1."
        raise ConfigurationError(message)
    states = form.states.copy()
    for slot in range(form.num_slots):
        varies, lag = False, NO_SOURCE
        for bar in range(form.num_bars):
            if states[bar, slot] != CellState.REPEATS:
                lag = NO_SOURCE
                continue
            if bar - form.sources[bar, slot] != lag:
                lag = bar - int(form.sources[bar, slot])
                varies = bool(rng.random() < variation)
            if varies:
                states[bar, slot] = CellState.VARIES_NOTES
    return SongForm(states, form.sources)
