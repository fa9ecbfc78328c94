"""Configuration of a sampler of PhraseLDM: apart from what decides a trained model."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Solver = Literal["ddpm", "ddim", "dpm_solver", "sde_dpm_solver"]
GuidanceHides = Literal["all", "form"]


class SamplerConfig(BaseModel):
    """How songs are drawn from a trained model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    solver: Solver = "dpm_solver"
    num_sampling_steps: int = Field(default=30, ge=1, le=10_000)
    guidance_scale: float = Field(
        default=1.0,
        ge=0,
        description="w in unconditional + w (conditional - unconditional); 1 is off",
    )
    guidance_interval: tuple[float, float] = Field(
        default=(0.0, 1.0), description="times (0 clean, 1 noise) between which guidance acts"
    )
    guidance_hides: GuidanceHides = Field(
        default="all",
        description="what the weak side of guidance does not know: all conditions, or form and "
        "chords alone",
    )
    copies: bool = Field(
        default=True,
        description="where a form is given, the estimate of a phrase's first copy serves all its "
        "copies at every step",
    )
    variation_start: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="time (0 clean, 1 noise) until which a phrase with the onsets and pitches of "
        "another one follows it",
    )
    force_silence: bool = Field(
        default=False,
        description="silent cells of a form get the latent of an empty slot at every step",
    )
    second_pass: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="time (0 clean, 1 noise) from which a song, decoded and encoded again, is "
        "denoised once more; 0 is off",
    )
    second_pass_steps: int = Field(default=8, ge=1, le=10_000)
    second_pass_guidance: float = Field(
        default=1.0, ge=0, description="guidance scale of the second pass; 1 is off"
    )
    clip_value: float | None = Field(
        default=None, gt=0, description="estimates are held within this many standard deviations"
    )
    duration_bias: float = Field(
        default=0.0,
        ge=-4,
        le=4,
        description="times the natural logarithm of a duration, the decoder adds it to the logit "
        "of that duration: of latents with errors the most likely durations are too short",
    )
    onset_gap_bias: float = Field(
        default=0.0,
        ge=-4,
        le=4,
        description="times the natural logarithm of the steps from an onset to the next one, or to "
        "the end of the bar, the decoder adds it to the logit of what comes next: of latents with "
        "errors it says too many notes",
    )
    bar_line_weight: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="how much it counts that lines go on across bar lines as in the training "
        "songs, beside the log likelihood of a phrase's first and last pitch; 0 is off",
    )
    precision: Literal["fp32", "bf16"] = "fp32"
