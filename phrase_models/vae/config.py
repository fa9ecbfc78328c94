"""Configuration of PhraseVAE."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from phrase_models.tokens.units import Granularity

Bottleneck = Literal["multi_query", "single_query", "pooling"]
VAEPhase = Literal["infilling", "autoencoder", "vae", "decoder"]
FINISHED_PHASES: tuple[VAEPhase, ...] = ("vae", "decoder")
"""Phases whose outcome has a latent."""


class VAEConfig(BaseModel):
    """Architecture (paper section 4.2.1); every field must be stated by a preset."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model_dim: int = Field(ge=8, le=4096, description="width d of encoder and decoder")
    feedforward_dim: int = Field(ge=8, le=16384)
    num_heads: int = Field(ge=1, le=64)
    head_dim: int = Field(ge=4, le=512, description="width of one attention head; T5 has 64")
    num_encoder_layers: int = Field(ge=1, le=64)
    num_decoder_layers: int = Field(ge=1, le=64)
    granularity: Granularity = Field(
        default="phrase", description="what one latent stands for (paper table 3)"
    )
    bottleneck: Bottleneck = Field(
        default="multi_query",
        description="how a unit is compressed (paper table 1): query tokens read along with it, "
        "one learned query over the encoder's output, or that output's mean",
    )
    num_queries: int = Field(ge=1, le=8, description="m, the query tokens of multi_query")
    latent_dim: int = Field(ge=2, le=1024, description="D, size of the latent of one phrase")
    dropout: float = Field(ge=0.0, lt=1.0)
    state_embeddings: bool = Field(
        default=False,
        description="whether a token's embedding also says which onset and pitch it stands under",
    )
    tied_embedding: bool = Field(
        default=True, description="whether logits come from the table that embeds the tokens"
    )
    bottleneck_hidden_dim: int = Field(
        default=0,
        ge=0,
        le=16384,
        description="hidden width of a small network on either side of the latent; 0: one linear "
        "layer, as in the paper",
    )
    noise_level_input: bool = Field(
        default=False,
        description="whether the decoder is told how much noise is on its latent; at 0, which is "
        "what it reads unless told otherwise, this adds nothing",
    )
    grid: Literal[16, 48] = Field(
        default=16,
        description="places a bar that the training songs were rounded to; what is given to the "
        "model is rounded to them, too",
    )
    max_tokens: int = Field(ge=16, le=512, description="longest phrase, without begin and end")

    def for_phase(self, phase: VAEPhase) -> "VAEConfig":
        """The same with a fixed value for what a training phase does not use.

        So trainings that differ only in what comes later are one training.
        """
        unused: dict[str, object] = {}
        if phase != "decoder":
            unused |= {"noise_level_input": False}
        if phase not in FINISHED_PHASES:
            unused |= {"latent_dim": 2, "bottleneck_hidden_dim": 0}
        if phase == "infilling":
            unused |= {"bottleneck": "multi_query", "num_queries": 1}
        return self.model_copy(update=unused)

    @property
    def memory_length(self) -> int:
        """Vectors of width d that the decoder attends to."""
        return self.num_queries if self.bottleneck == "multi_query" else 1


class VAEObjectiveConfig(BaseModel):
    """What one of the training phases minimises."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kl_weight: float = Field(default=0.01, ge=0.0, description="of the KL meaned over dimensions")
    kl_warmup_steps: int = Field(default=0, ge=0)
    free_bits: float = Field(
        default=0.0, ge=0.0, description="nats of a dimension that the KL term leaves alone"
    )
    latent_noise: float = Field(
        default=0.0, ge=0.0, description="standard deviation of extra noise on the decoder's latent"
    )
    noise_range: float = Field(
        default=0.6,
        ge=0.0,
        description="phase decoder: the noise on a latent is at most so many standard deviations "
        "that its dimension has over the training phrases; the level of a phrase is uniform",
    )
    decoder_mask_fraction: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="share of decoder input tokens replaced by [MASK]"
    )
    count_exponent: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="a unique phrase is drawn by its count to this power",
    )
    transposed_share: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="share of the phrases drawn that are moved to another key",
    )
    augmented_share: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="share of the long phrases drawn that are combined, thinned or moved",
    )
    special_share: float = Field(
        default=0.02, ge=0.0, lt=1.0, description="share of special phrases among those drawn"
    )
    bar_share: float = Field(
        default=0.0, ge=0.0, le=1.0, description="share of whole bars in span infilling"
    )
