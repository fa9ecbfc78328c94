"""What writes songs, whatever its family: a request, a seed and an index make a song.

Everything after a generator (files, gallery, evaluation, reports) knows only this. The families
themselves are listed in `generators`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.form.plan_source import PlanSource
from phrase_models.form.song_form import SongForm
from phrase_models.score.song import Song

if TYPE_CHECKING:
    from phrase_models.diffusion.sampler_config import SamplerConfig

InputName = Literal["songs", "vae", "diffusion", "priors", "binomial"]
"""What a generator can be made of: songs of the corpus, trained models, plan priors."""


@dataclass(frozen=True, slots=True, eq=False)
class SongRequest(SongPlan):
    """What a song is asked to be: a plan, of which the generator may fill in what is left open.

    Form, chords and texture are of a song in C major or A minor.

    Attributes:
        tempo_bpm: beats a minute.
        variation: chance of a repetition of the form to come back varied (see `scale_repeats`);
            0 where the form is to be kept as it is.
        plans: where what is left open is taken from; None leaves it to the generator.
    """

    tempo_bpm: float = 90.0
    variation: float = 0.0
    plans: PlanSource | None = None

    def _values(self) -> tuple[object, ...]:
        own = self.tempo_bpm, self.variation, self.plans
        return *SongPlan._values(self), *own  # noqa: SLF001 - of the base

    @property
    def plans_bars(self) -> bool:
        """Whether more is asked for than length, sections and tempo."""
        parts = (self.form, self.chords, self.texture)
        return bool(self.variation) or any(part is not None for part in parts)

    @property
    def plan(self) -> SongPlan:
        """The plan alone, for PhraseLDM."""
        return SongPlan(self.num_bars, self.sections, self.form, self.chords, self.texture)


def request_from_layout(
    layout: str | None,
    num_bars: int | None = None,
    tempo_bpm: float = 90.0,
    *,
    form: SongForm | None = None,
    chords: NDArray[np.int64] | None = None,
    variation: float = 0.0,
) -> SongRequest:
    """Read "i4 A8 B8" (or nothing) into a request.

    Args:
        layout: sections, or None or empty where there are none.
        num_bars: length, where the layout does not give it.
        tempo_bpm: beats a minute.
        form: of as many bars, or None.
        chords: (bars, 2) ids, or None.
        variation: see `SongRequest`.

    Raises:
        ConfigurationError: if it is no layout, or its bars do not add up to `num_bars`.
    """
    plan = plan_from_layout(layout, num_bars)
    return SongRequest(
        plan.num_bars, plan.sections, form, chords, tempo_bpm=tempo_bpm, variation=variation
    )


@dataclass(frozen=True, slots=True)
class GeneratedSong:
    """One song with what it was made from.

    Attributes:
        index: of the song among those of its seed.
        request: with what it left open filled in.
        song: in C major or A minor; may be shorter than asked, and silent.
        provenance: one line for the file: seed, index and what made it.
        latents: raw latents (num_bars, S, D), or None where the family has none.
        num_repairs: tokens that had to be repaired.
        plans: where what the request left open was taken from.
    """

    index: int
    request: SongRequest
    song: Song
    provenance: str
    latents: NDArray[np.float32] | None = None
    num_repairs: int = 0
    plans: PlanSource = "training"

    @property
    def name(self) -> str:
        """File name without ending."""
        return f"song-{self.index:03d}"


class Generator(Protocol):
    """Writes songs."""

    @property
    def name(self) -> str:
        """Of the family, as listed in `generators`."""

    @property
    def digest(self) -> str:
        """Of the trained models or the songs that it is made of, hexadecimal."""

    def check(self, request: SongRequest) -> None:
        """Refuse what cannot be made, before anything heavy starts.

        Raises:
            ConfigurationError: with a sentence that says what to ask for instead.
        """

    def generate(self, request: SongRequest, seed: int, index: int) -> GeneratedSong:
        """Song `index` of a seed, the same however many songs are made, and in which order.

        Raises:
            ConfigurationError: as `check`.
        """


@dataclass(frozen=True)
class GeneratorInputs:
    """What the factory of a generator may use.

    Attributes:
        folders: of the inputs that its entry needs, or may use and there are, by name.
        digests: of their contents, by name.
        training_songs: reads the songs of the training split, in C major or A minor.
        sampler: settings of families that sample by diffusion, None for their defaults.
        state: folder that survives a kill, where finished work may be kept; None for none.
    """

    folders: Mapping[InputName, Path] = field(default_factory=dict)
    digests: Mapping[InputName, str] = field(default_factory=dict)
    training_songs: Callable[[], Sequence[Song]] = tuple
    sampler: SamplerConfig | None = None
    state: Path | None = None


@dataclass(frozen=True, slots=True)
class GeneratorEntry:
    """One line of the list of generators.

    The module is named and not imported, so that the songs of one family do not depend on the code
    of another, and a list can be read without torch.

    Attributes:
        name: of the family.
        module: that has `build_generator(inputs: GeneratorInputs) -> Generator`.
        needs: the inputs that it reads.
        may_use: inputs that only some requests take.
    """

    name: str
    module: str
    needs: tuple[InputName, ...]
    may_use: tuple[InputName, ...] = ()

    @property
    def draws_plans(self) -> bool:
        """Whether it can take plans from priors."""
        return "priors" in self.may_use

    def build(self, inputs: GeneratorInputs) -> Generator:
        """The generator, loaded and ready.

        Raises:
            ConfigurationError: if it cannot be made of these inputs.
        """
        generator: Generator = import_module(self.module).build_generator(inputs)
        return generator
