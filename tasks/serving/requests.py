"""What clients may ask for, each value within bounds; what is wrong with it, in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from phrase_models.form.plan_source import PlanSource
from tasks.command_line import shortened
from tasks.errors import plain_reason
from tasks.music.song_orders import SongOrder

LARGEST_SEED = 2**63 - 1
Seed = Annotated[int, Field(ge=-LARGEST_SEED, le=LARGEST_SEED)]
Index = Annotated[int, Field(ge=0, lt=10_000)]
Steps = Annotated[int, Field(ge=1, le=1000)]
Guidance = Annotated[float, Field(ge=0, le=100)]
Layout = Annotated[str, Field(max_length=2000)]
Chords = Annotated[str, Field(max_length=10_000)]
Role = Literal["melody", "bridge", "piano"]
_SHOWN = 60


class GenerateRequest(BaseModel):
    """A song: the options of `phraseldm generate`, by the names of the science."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    num_bars: Annotated[int, Field(ge=1, le=2000)] | None = Field(
        None, description="length; null leaves it to the model"
    )
    sections: Layout | None = Field(
        None, description="layout such as 'i4 A8 B8 o2'", examples=["i4 A8 B8 o4"]
    )
    form: Annotated[str, Field(max_length=200_000)] | None = Field(
        None, description="a grid as `phraseldm form` prints it"
    )
    chords: Chords | None = Field(
        None, description="such as 'C G | Am | ?', a bar between bars, in the key of `key`"
    )
    texture: Annotated[str, Field(max_length=200_000)] | None = Field(
        None, description="a line of cells a bar as `phraseldm texture` prints it"
    )
    key: Annotated[str, Field(min_length=1, max_length=8)] = Field(
        "C", description="major key to write in"
    )
    tempo: Annotated[float, Field(gt=10, lt=400)] = Field(90.0, description="beats a minute")
    seed: Seed = Field(0, description="song k of a seed is always the same")
    index: Index = Field(0, description="of the song among those of the seed")
    steps: Steps | None = Field(None, description="sampling steps; null for the model's own")
    guidance: Guidance | None = Field(None, description="guidance scale; null for the model's own")
    variation: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="share of the repetitions that come back varied"
    )
    plans: PlanSource | None = Field(
        None,
        description="what is left open is of a training song, lent to drawn sections, or drawn; "
        "null is drawn, if the models have priors",
    )

    def order(self) -> SongOrder:
        """The order that the command line would place.

        Raises:
            ConfigurationError: for what is no key, form, chord or texture.
        """
        return SongOrder.read(
            key=self.key,
            form=self.form,
            chords=self.chords,
            texture=self.texture,
            variation=self.variation,
            sampling=sampling_of(self),
            num_songs=1,
            num_bars=self.num_bars,
            sections=self.sections,
            plans=self.plans,
            seed=self.seed,
            tempo_bpm=self.tempo,
        )


class AccompanyRequest(BaseModel):
    """What is written around the instruments of a file: the query of `/accompany`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    keep: list[Role] = Field(
        ["melody"], min_length=1, max_length=3, description="instruments kept to the note"
    )
    map: list[Annotated[str, Field(max_length=200)]] = Field(
        [], max_length=32, description="TRACK=ROLE, such as 'Track 3=melody'"
    )
    sections: Layout | None = Field(None, description="layout; else that of the file's markers")
    chords: Chords | None = Field(None, description="in the key of the file; else as heard in it")
    seed: Seed = 0
    index: Index = 0
    steps: Steps | None = None
    guidance: Guidance | None = None


def sampling_of(request: GenerateRequest | AccompanyRequest) -> dict[str, float | None]:
    """Settings of the sampler by the names of `SamplerConfig`."""
    return {"num_sampling_steps": request.steps, "guidance_scale": request.guidance}


class JobStatus(BaseModel):
    """How far a job is.

    Attributes:
        id: its number.
        state: waiting, running, done or failed.
        progress: share that is done, 0..1.
        position: songs before it, 0 from when it is made.
        error: why it failed, or None.
    """

    id: str
    state: Literal["waiting", "running", "done", "failed"]
    progress: Annotated[float, Field(ge=0, le=1)]
    position: Annotated[int, Field(ge=0)]
    error: str | None = None

    @classmethod
    def of(cls, number: str, **values: Any) -> Self:
        """Of the job of a number."""
        return cls(id=number, **values)


class Problem(BaseModel):
    """Why a request was refused, in one sentence."""

    detail: str


def fault_sentence(errors: Sequence[Mapping[str, Any]]) -> str:
    """The first fault that pydantic found, as a sentence that names the field."""
    first = errors[0]
    kind, where = first["type"], [part for part in first["loc"] if part not in ("body", "query")]
    if kind == "json_invalid":
        place = where[-1] if where else 0
        return f"The body is no JSON: {plain_reason(str(first['ctx']['error']))} at place {place}."
    if not where:
        return "The body must be a JSON object of type application/json."
    name = ".".join(str(part) for part in where)
    if kind == "extra_forbidden":
        return f"There is no field {_shown(name)}; /docs lists those that there are."
    reason = plain_reason(str(first["msg"]))
    return shortened(f"{_plain(name)} = {_shown(first.get('input'))} does not do: {reason}.")


def _shown(value: Any) -> str:
    """A value in printable ASCII, cut short."""
    text = ascii(value) if not isinstance(value, list | dict) else type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _plain(name: str) -> str:
    return _shown(name).strip("'\"")
