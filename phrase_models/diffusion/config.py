"""Configuration of PhraseLDM: network and noise schedule; `sampler_config` has the sampler's.

Two profiles span the space. *Paper*: slots as tokens, padded with end-of-song latents, time and
length added to all hidden states, section list by cross-attention, noise prediction, 1000 DDPM
steps. *Base*: one token a bar, masked to the true length, adaLN-zero, a plan aligned to the bars,
velocity prediction with min-SNR weights, DPM-Solver++.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Conditioning = Literal["none", "length", "sections"]
Prediction = Literal["noise", "velocity", "sample"]


class DenoiserConfig(BaseModel):
    """Architecture and what it is conditioned on (paper sections 3.3.1 to 3.3.3)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    num_layers: int = Field(ge=1, le=64)
    model_dim: int = Field(ge=8, le=4096)
    num_heads: int = Field(ge=1, le=64)
    feedforward_dim: int = Field(
        ge=8, le=16384, description="inner width of the gated feedforward (SwiGLU)"
    )
    patch_bars: bool = Field(
        default=True, description="one token a bar, its slots concatenated; else one a slot"
    )
    conditioning: Conditioning = "sections"
    section_style: Literal["aligned", "prompt"] = Field(
        default="aligned",
        description="a plan embedded bar by bar, or a section list by cross-attention (paper)",
    )
    global_conditioning: Literal["adaln_zero", "added"] = Field(
        default="adaln_zero",
        description="how time and length enter; added to all tokens in the paper",
    )
    rotary_axes: Literal["bar_slot", "token"] = Field(
        default="bar_slot", description="rotary positions over (bar, slot), or over tokens (paper)"
    )
    repeat_bias: bool = Field(
        default=True, description="learnt attention towards the matching bar of same-label sections"
    )
    form_condition: bool = Field(
        default=False,
        description="the form enters: a state a cell, and attention biases between bars that are "
        "alike in a slot (token for token, in onsets and pitches, in rhythm)",
    )
    all_sections_bias: bool = Field(
        default=False,
        description="learnt attention towards the same bar of all earlier and of all later "
        "sections of the label, beside the ones next to it",
    )
    bar_lags: tuple[int, ...] = Field(
        default=(),
        max_length=64,
        description="distances in bars with a learnt attention of their own",
    )
    num_chords: int = Field(
        default=0, ge=0, le=127, description="chord ids a half bar; 0 leaves the chords out"
    )
    texture_condition: bool = Field(
        default=False,
        description="the texture enters: how full, held and high each cell is (`form/texture.py`)",
    )
    given_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of training songs with known slots, which enter without noise and with "
        "a flag; 0 has no flag",
    )
    self_conditioning: bool = True
    dropout: float = Field(default=0.0, ge=0, lt=1)
    condition_dropout: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="chance that a condition is hidden: length, sections, form, chords and "
        "texture, each on its own",
    )
    joint_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="chance that all conditions are hidden at once, as guidance needs them",
    )
    permute_letters: bool = Field(
        default=True, description="training renames the sections A to E at random"
    )
    max_bars: int = Field(default=128, ge=1, le=4096)
    length_bucket: int = Field(
        default=10, ge=1, le=4096, description="bars a length bucket (paper: 10)"
    )
    pad_with_end: bool = Field(
        default=False,
        description="pad to max_bars with end-of-song latents that are learnt (paper); else masked",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model_dim % (8 * self.num_heads):
            message = (
                f"model_dim {self.model_dim} must be a multiple of 8 times num_heads "
                f"{self.num_heads}."
            )
            raise ValueError(message)
        aligned = self.conditioning == "sections" and self.section_style == "aligned"
        if self.repeat_bias and not aligned:
            message = (
                "repeat_bias needs conditioning 'sections' with section_style 'aligned'; "
                "set repeat_bias to false."
            )
            raise ValueError(message)
        relates_bars = self.form_condition or self.all_sections_bias or self.bar_lags
        if (relates_bars or self.texture_condition) and (
            not self.patch_bars or self.conditioning == "none"
        ):
            message = (
                "form_condition, texture_condition, all_sections_bias and bar_lags are of bars: "
                "they need patch_bars and a conditioning other than 'none'."
            )
            raise ValueError(message)
        if self.all_sections_bias and self.conditioning != "sections":
            message = "all_sections_bias needs conditioning 'sections'."
            raise ValueError(message)
        if any(lag < 1 for lag in self.bar_lags) or len({*self.bar_lags}) < len(self.bar_lags):
            message = f"bar_lags {self.bar_lags} must be different whole numbers from 1."
            raise ValueError(message)
        return self


class NoiseScheduleConfig(BaseModel):
    """Noise levels, what the network predicts and how timesteps are weighted in training."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["cosine"] = "cosine"
    num_timesteps: int = Field(default=1000, ge=2, le=10_000)
    prediction: Prediction = "velocity"
    min_snr_gamma: float | None = Field(
        default=5.0, gt=0, description="gamma of min-SNR weighting (arXiv 2303.09556); null is off"
    )
    zero_terminal_snr: bool = Field(
        default=True, description="the last timestep is pure noise (arXiv 2305.08891)"
    )
    snr_scale: float = Field(
        default=1.0, gt=0, description="factor on the signal-to-noise ratio; below 1 is noisier"
    )
    timestep_sampling: Literal["uniform", "stratified"] = "stratified"
    skip_variance: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="with prediction 'sample': x_t itself has a share in the estimate, as if the "
        "network's own error had this variance (arXiv 2206.00364, section 5); 0 is off",
    )
    snr_weight_limit: float | None = Field(
        default=None,
        ge=1,
        description="with prediction 'sample': errors weigh 1 + SNR, as those of the velocity do, "
        "up to this; null leaves it to min_snr_gamma",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.prediction != "sample" and (self.skip_variance or self.snr_weight_limit):
            message = (
                "skip_variance and snr_weight_limit are for prediction 'sample'; leave them out "
                f"or set prediction to 'sample' instead of '{self.prediction}'."
            )
            raise ValueError(message)
        if self.prediction == "noise" and self.zero_terminal_snr:
            message = (
                "prediction 'noise' says nothing about the song at a zero terminal SNR; "
                "set zero_terminal_snr to false or predict 'velocity'."
            )
            raise ValueError(message)
        return self
