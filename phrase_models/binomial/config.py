"""Configuration of binomial diffusion: rolls, noise, networks, objective."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from phrase_models.errors import ConfigurationError
from phrase_models.score.song import ROLE_PROGRAMS

STEPS_PER_ROLL_BAR = 16
"""A step of a roll is a sixteenth."""
HIGHEST_MIDI_PITCH = 127


class Frozen(BaseModel):
    """Base of all of them: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RollConfig(Frozen):
    """What the cells of a roll are.

    The pitches are those of POP909's training songs in C major or A minor but for .015 % of the
    notes (at 64 pitches it would be .16 %, at the reference's 56 1.2 %), and a multiple of 8, for
    the two-dimensional network halves them three times.

    Attributes:
        lowest_pitch: MIDI number of the first pitch.
        num_pitches: P.
        voices: melody, bridge and piano in planes of their own, or all together (the reference).
        cells: onsets and held steps in planes of their own, so that repeated notes stay apart, or
            one plane of sounding steps (the reference).
        segment_bars: N, bars that the network sees at once.
    """

    lowest_pitch: int = Field(default=28, ge=0, le=HIGHEST_MIDI_PITCH)
    num_pitches: int = Field(default=72, ge=8, le=128, multiple_of=8)
    voices: Literal["roles", "flattened"] = "roles"
    cells: Literal["onset_hold", "sounding"] = "onset_hold"
    segment_bars: int = Field(default=24, ge=1, le=128)

    @model_validator(mode="after")
    def _within_midi(self) -> Self:
        if self.lowest_pitch + self.num_pitches - 1 > HIGHEST_MIDI_PITCH:
            message = (
                f"{self.num_pitches} pitches from {self.lowest_pitch} on reach beyond "
                f"{HIGHEST_MIDI_PITCH}, the highest of MIDI."
            )
            raise ConfigurationError(message)
        return self

    @property
    def num_voices(self) -> int:
        """Three roles, or one."""
        return len(ROLE_PROGRAMS) if self.voices == "roles" else 1

    @property
    def planes_per_voice(self) -> int:
        """Two where onsets and held steps are apart."""
        return 2 if self.cells == "onset_hold" else 1

    @property
    def num_planes(self) -> int:
        """C; the planes of a voice lie together, its onsets first."""
        return self.num_voices * self.planes_per_voice

    @property
    def segment_steps(self) -> int:
        """Sixteenths of a segment."""
        return self.segment_bars * STEPS_PER_ROLL_BAR


class NoiseConfig(Frozen):
    """How cells are noised.

    Attributes:
        num_timesteps: T.
        schedule: "linear" replaces the share (t + 1) / T of the cells (the reference); "cosine"
            follows arXiv 2102.09672, section 3.2.
        density: of noise: one number (the reference), or one for each plane and pitch; both are
            measured on the training songs.
    """

    num_timesteps: int = Field(default=100, ge=2, le=10_000)
    schedule: Literal["linear", "cosine"] = "linear"
    density: Literal["number", "pitch"] = "pitch"


class TimeNetworkConfig(Frozen):
    """The network over time, whose channels are planes and pitches.

    Attributes:
        step_dim, beat_dim, bar_dim: width at sixteenths, beats and bars.
        num_blocks: residual blocks at sixteenths and at beats, on the way down and up each.
        num_bar_layers: attention layers over the bars.
        num_heads: of attention.
        local_dim: width of the convolutions over steps and pitches that write the cells, the same
            at every pitch; 0 leaves them out.
    """

    kind: Literal["time"] = "time"
    step_dim: int = Field(default=192, ge=8, le=2048)
    beat_dim: int = Field(default=256, ge=8, le=2048)
    bar_dim: int = Field(default=304, ge=8, le=2048)
    num_blocks: int = Field(default=1, ge=1, le=16)
    num_bar_layers: int = Field(default=4, ge=0, le=64)
    num_heads: int = Field(default=4, ge=1, le=64)
    local_dim: int = Field(default=24, ge=0, le=256)

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.bar_dim % (2 * self.num_heads):
            message = f"bar_dim {self.bar_dim} is no multiple of {2 * self.num_heads}, two a head."
            raise ConfigurationError(message)
        return self


class UNetConfig(Frozen):
    """The two-dimensional U-Net of the reference, over steps and pitches.

    Attributes:
        dim: channels of the first level; 48 in the reference.
        multipliers: of `dim`, one a level; 1, 2, 4, 4 in the reference.
    """

    kind: Literal["unet2d"] = "unet2d"
    dim: int = Field(default=48, ge=8, le=512, multiple_of=8)
    multipliers: tuple[int, ...] = Field(default=(1, 2, 4, 4), min_length=1, max_length=4)


NetworkConfig = Annotated[TimeNetworkConfig | UNetConfig, Field(discriminator="kind")]
Loss = Literal["bce", "l1"]


class ObjectiveConfig(Frozen):
    """What the training minimises.

    Attributes:
        loss: binary cross-entropy of logits, whose optimum is the posterior mean; or the absolute
            error of real-valued cells (the reference), whose optimum is the median.
        known_share: share of the segments with known cells; 0 leaves them out of the network.
    """

    loss: Loss = "bce"
    known_share: float = Field(default=0.5, ge=0, le=1)


class BinomialConfig(Frozen):
    """Everything needed to build the model again."""

    roll: RollConfig = RollConfig()
    noise: NoiseConfig = NoiseConfig()
    network: NetworkConfig = TimeNetworkConfig()
    objective: ObjectiveConfig = ObjectiveConfig()


class BinomialSamplerConfig(Frozen):
    """How rolls are drawn from a trained model.

    Attributes:
        sampler: "posterior" draws from the exact posterior step, "released" keeps one noise roll
            (see `samplers`).
        num_sampling_steps: timesteps that are visited; 100 in the reference.
        overlap_bars: bars that a segment shares with the next one, where a song is longer than one.
        precision: of the network.
    """

    sampler: Literal["posterior", "released"] = "posterior"
    num_sampling_steps: int = Field(default=25, ge=1, le=10_000)
    overlap_bars: int = Field(default=8, ge=0, le=127)
    precision: Literal["fp32", "bf16"] = "fp32"
