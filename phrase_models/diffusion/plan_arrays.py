"""Form, chords and texture of many songs as arrays, beside the latents of a dataset or in a model.

Rows are bars, song after song. `forms.npy` is int16 (R, S, 2): the CellState of each cell and the
bar of the same song that it takes up, from 0, -1 where there is none; a song whose states are all
-1 has no form. `chords.npy` is int8 (R, 2): a chord id for each half bar, -1 where it is unknown; a
song of -1 alone has no chords. `textures.npy` is int8 (R, S, 5): the texture of each cell, likewise
-1 where it is unknown. Each file may be missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from phrase_models.diffusion.plan import SongPlan
from phrase_models.errors import ConfigurationError
from phrase_models.form.song_form import SongForm
from phrase_models.form.texture import TEXTURE_ATTRIBUTES, UNKNOWN_TEXTURE
from phrase_models.model_files import read_array
from phrase_models.score.chords import CHORDS_PER_BAR, UNKNOWN_CHORD

NO_STATE = -1
FORMS_FILE = "forms.npy"
CHORDS_FILE = "chords.npy"
TEXTURES_FILE = "textures.npy"


@dataclass(frozen=True, slots=True, eq=False)
class PlanArrays:
    """What the files hold.

    Attributes:
        forms: (R, S, 2) int16, or None.
        chords: (R, 2) int8, or None.
        textures: (R, S, 5) int8, or None.
    """

    forms: NDArray[np.int16] | None = None
    chords: NDArray[np.int8] | None = None
    textures: NDArray[np.int8] | None = None

    @classmethod
    def of_plans(cls, plans: Sequence[SongPlan]) -> Self:
        """Pack plans whose `num_bars` are known, in order."""
        forms = chords = textures = None
        num_slots = {plan.form.num_slots for plan in plans if plan.form is not None}
        if num_slots:
            forms = np.concatenate([_form_rows(plan, max(num_slots)) for plan in plans])
        if any(plan.chords is not None for plan in plans):
            chords = np.concatenate([_chord_rows(plan) for plan in plans])
        shapes = {plan.texture.shape[1:] for plan in plans if plan.texture is not None}
        if shapes:
            textures = np.concatenate([_texture_rows(plan, max(shapes)) for plan in plans])
        return cls(forms, chords, textures)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what there is in a folder.

        Raises:
            ConfigurationError: if a file holds another array than this one writes.
        """
        num_attributes = len(TEXTURE_ATTRIBUTES)
        kinds = (
            (FORMS_FILE, "int16", (None, None, 2)),
            (CHORDS_FILE, "int8", (None, 2)),
            (TEXTURES_FILE, "int8", (None, None, num_attributes)),
        )
        forms, chords, textures = (
            read_array(folder / name, dtype, shape) if (folder / name).exists() else None
            for name, dtype, shape in kinds
        )
        return cls(forms, chords, textures)

    def write(self, folder: Path) -> None:
        """Write what there is into a folder."""
        files = (
            (FORMS_FILE, self.forms),
            (CHORDS_FILE, self.chords),
            (TEXTURES_FILE, self.textures),
        )
        for name, array in files:
            if array is not None:
                np.save(folder / name, array)

    def complete(self, plan: SongPlan, first_bar: int) -> SongPlan:
        """Give a plan of known length the form, chords and texture from row `first_bar` on.

        Raises:
            ConfigurationError: if the arrays are too short, or hold no form.
        """
        rows = slice(first_bar, first_bar + (plan.num_bars or 0))
        form = chords = texture = None
        if self.forms is not None:
            states, sources = _rows(self.forms, rows, FORMS_FILE).transpose(2, 0, 1)
            form = None if (states == NO_STATE).all() else SongForm(states, sources.astype("i8"))
        if self.chords is not None:
            found = _rows(self.chords, rows, CHORDS_FILE)
            chords = None if (found == UNKNOWN_CHORD).all() else found.astype(np.int64)
        if self.textures is not None:
            found = _rows(self.textures, rows, TEXTURES_FILE)
            texture = None if (found == UNKNOWN_TEXTURE).all() else found.astype(np.int64)
        return replace(plan, form=form, chords=chords, texture=texture)


def _rows(array: NDArray[np.signedinteger], rows: slice, name: str) -> NDArray[np.signedinteger]:
    if rows.stop > len(array):
        message = f"{name} has {len(array)} bars, but bars up to {rows.stop} are needed."
        raise ConfigurationError(message)
    return array[rows]


def _form_rows(plan: SongPlan, num_slots: int) -> NDArray[np.int16]:
    if plan.form is None:
        return np.full((plan.num_bars or 0, num_slots, 2), NO_STATE, np.int16)
    return np.stack((plan.form.states, plan.form.sources), axis=-1).astype(np.int16)


def _chord_rows(plan: SongPlan) -> NDArray[np.int8]:
    if plan.chords is None:
        return np.full((plan.num_bars or 0, CHORDS_PER_BAR), UNKNOWN_CHORD, np.int8)
    return plan.chords.astype(np.int8)


def _texture_rows(plan: SongPlan, shape: tuple[int, ...]) -> NDArray[np.int8]:
    if plan.texture is None:
        return np.full((plan.num_bars or 0, *shape), UNKNOWN_TEXTURE, np.int8)
    return plan.texture.astype(np.int8)
