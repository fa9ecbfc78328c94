"""Configuration of PianoTree VAE."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from phrase_models.baselines.pianotree.grid import NUM_PITCHES, GridShape
from phrase_models.score.song import STEPS_PER_BAR


class PianoTreeConfig(BaseModel):
    """Architecture; the defaults are about the size of the paper's (12.8 M parameters here)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_positions: int = Field(default=16, ge=1, description="of a bar; a divisor of 48")
    max_notes: int = Field(default=16, ge=1, le=NUM_PITCHES, description="at one position")
    bit_weights: tuple[float, ...] = Field(
        default=(1.0, 0.6, 0.4, 0.3, 0.3),
        min_length=1,
        max_length=7,
        description="weight of each bit of a duration in the loss, most significant first; there "
        "are as many bits as weights (48 positions need 7 for durations up to 127 steps)",
    )
    latent_dim: int = Field(default=512, ge=2)
    note_dim: int = Field(default=128, ge=4, description="embedding of one note")
    position_dim: int = Field(default=256, ge=4, description="of the encoder's GRU over notes")
    encoder_dim: int = Field(default=512, ge=4, description="of the encoder's GRU over positions")
    decoder_dim: int = Field(default=1024, ge=4, description="of the decoder's GRU over positions")
    written_dim: int = Field(
        default=128, ge=4, description="of the decoder's GRU that reads a position it has written"
    )
    decoder_note_dim: int = Field(default=512, ge=4, description="of the decoder's GRU over notes")
    duration_dim: int = Field(default=64, ge=4, description="of the GRU over bits of a duration")

    @field_validator("num_positions")
    @classmethod
    def _divides_the_bar(cls, value: int) -> int:
        if STEPS_PER_BAR % value:
            message = f"num_positions is {value}; it must divide {STEPS_PER_BAR}, as 16 and 48 do."
            raise ValueError(message)
        return value

    @property
    def shape(self) -> GridShape:
        """The grid that the model reads and writes."""
        return GridShape(self.num_positions, self.max_notes, len(self.bit_weights))


class PianoTreeObjectiveConfig(BaseModel):
    """What is minimised, and which bars are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kl_weight: float = Field(
        default=0.01,
        ge=0.0,
        description="of the KL meaned over dimensions; PhraseVAE's, PianoTree's own is 0.1",
    )
    kl_warmup_steps: int = Field(default=0, ge=0)
    sampled_share: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="scheduled sampling: share of the notes that the decoder reads as it would "
        "have written them; above 0 a step takes a second pass of the decoder",
    )
    count_exponent: float = Field(
        default=0.5, ge=0.0, le=1.0, description="a unique bar is drawn by its count to this power"
    )
    transposed_share: float = Field(
        default=0.0, ge=0.0, le=1.0, description="share of the bars drawn that move to another key"
    )
    special_share: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="share of special phrases, where the table has any"
    )
