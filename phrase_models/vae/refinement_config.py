"""Configuration of refinement: apart from what decides a trained model, and without torch."""

from pydantic import BaseModel, ConfigDict, Field


class RefinementConfig(BaseModel):
    """How latents are improved; every field but `batch_size` changes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_steps: int = Field(default=30, ge=1, description="steps of Adam for each phrase")
    learning_rate: float = Field(default=0.05, gt=0)
    pull: float = Field(
        default=0.2, ge=0, description="of the squared distance from the encoder's mean"
    )
    batch_size: int = Field(
        default=48, ge=1, description="phrases of similar length improved together on a CPU"
    )
