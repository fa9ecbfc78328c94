"""The denoiser: a diffusion transformer over the latents of a whole song (paper section 3.3.1).

Tokens are bars or slots. Deviations from the released Stable Audio stack, in both profiles: time
enters as a smooth sinusoidal code of t in [0, 1] in fp32 (there: a random code a timestep, broken
in half precision); time and length are added to all hidden states, as the paper's text says, or
steer adaLN-zero (there: one token put before the others), and learnt bar and slot embeddings give
the absolute place that this token gave; queries and keys are normed; the output starts at zero;
cross-attention exists only where a section list is attended to.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phrase_models.diffusion.attention import (
    CrossAttention,
    SelfAttention,
    rotary_table,
)
from phrase_models.diffusion.conditioning import (
    NUM_STATES,
    SECTION_DIM,
    AlignedPlanEmbedding,
    ChordEmbedding,
    PlanBatch,
    SectionEncoder,
    SlotEmbedding,
    TextureEmbedding,
    embedding,
    num_length_buckets,
)
from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.diffusion.relations import bar_relations

TIME_DIM = 128  # width of the sinusoidal code (paper section 4.3.1)
TIME_SCALE = 1000.0
MAX_PERIOD = 10_000.0
ESTIMATE_LIMIT = 5.0
"""Standard deviations at which self-conditioning estimates are held."""


def time_code(times: Tensor) -> Tensor:
    """Sinusoidal code of times in [0, 1] (B,) -> float32 (B, 128); neighbours are alike."""
    half = TIME_DIM // 2
    exponents = torch.arange(half, device=times.device, dtype=torch.float32) / half
    angles = times.float()[:, None] * TIME_SCALE * torch.exp(-math.log(MAX_PERIOD) * exponents)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class FeedForward(nn.Module):
    """Gated feedforward (SwiGLU)."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.gate_and_value = nn.Linear(config.model_dim, 2 * config.feedforward_dim)
        self.out = nn.Linear(config.feedforward_dim, config.model_dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, d) -> (B, T, d)."""
        gate, value = self.gate_and_value(hidden).chunk(2, dim=-1)
        return self.out(F.silu(gate) * value)


class Block(nn.Module):
    """One layer: self-attention, cross-attention where there is a section list, feedforward."""

    def __init__(self, config: DenoiserConfig, num_slots: int) -> None:
        super().__init__()
        dim = config.model_dim
        adaptive = config.global_conditioning == "adaln_zero"
        self.norm = nn.LayerNorm(dim, elementwise_affine=not adaptive)
        self.feedforward_norm = nn.LayerNorm(dim, elementwise_affine=not adaptive)
        self.attention = SelfAttention(config, num_slots)
        self.feedforward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)
        self.modulation = nn.Linear(dim, 6 * dim) if adaptive else None
        self.cross_attention: CrossAttention | None = None
        if _has_prompt(config):
            self.cross_norm = nn.LayerNorm(dim)
            self.cross_attention = CrossAttention(config, SECTION_DIM)

    def forward(
        self,
        hidden: Tensor,
        steering: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        relations: Tensor | None,
        memory: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Hidden (B, T, d), steering (B, d), memory with its mask; the rest as in attention."""
        parts: tuple[Tensor | None, ...] = (None,) * 6
        if self.modulation is not None:
            parts = self.modulation(steering)[:, None].chunk(6, dim=-1)
        shift, scale, gate, shift2, scale2, gate2 = parts
        attended = self.attention(
            modulate(self.norm(hidden), shift, scale), rotary, mask, relations
        )
        hidden = add_gated(hidden, self.dropout(attended), gate)
        if self.cross_attention is not None and memory is not None:
            hidden = hidden + self.cross_attention(self.cross_norm(hidden), *memory)
        inner = self.feedforward(modulate(self.feedforward_norm(hidden), shift2, scale2))
        return add_gated(hidden, self.dropout(inner), gate2)


def modulate(hidden: Tensor, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    """Shift and scale, where there is something to shift and scale by."""
    if shift is None or scale is None:
        return hidden
    return torch.addcmul(shift.to(hidden.dtype), hidden, 1 + scale.to(hidden.dtype))


def add_gated(hidden: Tensor, update: Tensor, gate: Tensor | None) -> Tensor:
    """Residual sum, gated where there is a gate."""
    if gate is None:
        return hidden + update
    return torch.addcmul(hidden, update.to(hidden.dtype), gate.to(hidden.dtype))


def _has_prompt(config: DenoiserConfig) -> bool:
    return config.conditioning == "sections" and config.section_style == "prompt"


class Denoiser(nn.Module):
    """Noisy latents, time and plan -> the prediction of the noise schedule."""

    def __init__(self, config: DenoiserConfig, num_slots: int, latent_dim: int) -> None:
        super().__init__()
        self.config, self.num_slots, self.latent_dim = config, num_slots, latent_dim
        dim = config.model_dim
        channels = latent_dim * (num_slots if config.patch_bars else 1)
        self.input = nn.Linear(channels * (2 if config.self_conditioning else 1), dim)
        self.bar_embedding = embedding(config.max_bars, dim)
        self.slot_embedding = None if config.patch_bars else embedding(num_slots, dim)
        self.time_projection = nn.Sequential(
            nn.Linear(TIME_DIM, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        conditioned, aligned = config.conditioning != "none", config.section_style == "aligned"
        self.length_embedding = embedding(num_length_buckets(config), dim) if conditioned else None
        self.plan_embedding = AlignedPlanEmbedding(config) if conditioned and aligned else None
        self.section_encoder = SectionEncoder(config) if _has_prompt(config) else None
        self.blocks = nn.ModuleList(Block(config, num_slots) for _ in range(config.num_layers))
        adaptive = config.global_conditioning == "adaln_zero"
        self.output_norm = nn.LayerNorm(dim, elementwise_affine=not adaptive)
        self.output_modulation = nn.Linear(dim, 2 * dim) if adaptive else None
        self.output = nn.Linear(dim, channels)
        self._initialise()
        # Last, so that a model without them starts with the same weights.
        self.state_embedding = (
            SlotEmbedding(config, num_slots, NUM_STATES) if config.form_condition else None
        )
        self.chord_embedding = ChordEmbedding(config) if config.num_chords else None
        self.given_embedding = SlotEmbedding(config, num_slots, 2) if config.given_share else None
        self.texture_embedding = (
            TextureEmbedding(config, num_slots) if config.texture_condition else None
        )

    def _initialise(self) -> None:
        """Xavier matrices; modulations, cross-attention and output start at zero."""
        for name, module in self.named_modules():
            if not isinstance(module, nn.Linear) or name.startswith("section_encoder."):
                continue
            zero = name == "output" or name.endswith(("modulation", "cross_attention.out"))
            if zero:
                nn.init.zeros_(module.weight)
            else:
                nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(
        self,
        noisy: Tensor,
        times: Tensor,
        plans: PlanBatch,
        estimate: Tensor | None = None,
    ) -> Tensor:
        """Predict.

        Args:
            noisy: x_t (B, N, S, D), N bars of S slots; x_0 at given slots.
            times: (B,) in [0, 1], 1 is noise.
            plans: conditions and mask of the same B songs and N bars.
            estimate: x_0 as estimated before (B, N, S, D), for self-conditioning; None at first.

        Returns:
            (B, N, S, D) float32; what it holds at masked bars means nothing.
        """
        num_bars = noisy.shape[1]
        hidden = self._tokens(noisy, estimate, plans)  # (B, T, d); T is N, or N S without patches
        steering = self._steering(times, plans)  # (B, d)
        if self.config.global_conditioning == "added":
            hidden = hidden + steering[:, None]
        steering = F.silu(steering)
        rotary = rotary_table(self.config, num_bars, self.num_slots, noisy.device)  # (T, C / 2) x 2
        mask = self._mask(plans)  # (B, 1, 1, T)
        relations = bar_relations(self.config, plans, self._tokens_per_bar)  # (B, R, T, T)
        memory = None  # or (B, 1 + K, c) and its mask (B, 1 + K)
        if self.section_encoder is not None:
            memory = self.section_encoder(plans)
        for block in self.blocks:
            hidden = block(hidden, steering, rotary, mask, relations, memory)  # (B, T, d)
        hidden = self.output_norm(hidden)
        if self.output_modulation is not None:
            shift, scale = self.output_modulation(steering)[:, None].chunk(2, dim=-1)  # (B, 1, d)
            hidden = modulate(hidden, shift, scale)  # (B, T, d)
        with torch.autocast(noisy.device.type, enabled=False):
            output = self.output(hidden.float())  # (B, T, S D), or (B, T, D) without patches
        return output.reshape(noisy.shape)  # (B, N, S, D)

    @property
    def _tokens_per_bar(self) -> int:
        return 1 if self.config.patch_bars else self.num_slots

    def _tokens(self, noisy: Tensor, estimate: Tensor | None, plans: PlanBatch) -> Tensor:
        """Latents, places and plan -> (B, T, d)."""
        channels = noisy
        if self.config.self_conditioning:
            known = torch.zeros_like(noisy) if estimate is None else estimate
            channels = torch.cat((noisy, known.clamp(-ESTIMATE_LIMIT, ESTIMATE_LIMIT)), dim=-1)
        bars = self.bar_embedding.weight[: noisy.shape[1]]
        if self.plan_embedding is not None:
            bars = bars + self.plan_embedding(plans)
        if self.chord_embedding is not None:
            bars = bars + self.chord_embedding(plans)
        if self.texture_embedding is not None:
            bars = bars + self.texture_embedding(plans)
        places = bars
        if self.slot_embedding is not None:
            places = bars[..., None, :] + self.slot_embedding.weight
        if self.state_embedding is not None:
            places = places + self.state_embedding(plans.states)
        if self.given_embedding is not None:
            places = places + self.given_embedding(plans.given.long())
        if self.slot_embedding is None:
            return self.input(channels.flatten(2)) + places
        return (self.input(channels) + places).flatten(1, 2)

    def _steering(self, times: Tensor, plans: PlanBatch) -> Tensor:
        """Time and length -> (B, d), in fp32 also under autocast."""
        with torch.autocast(times.device.type, enabled=False):
            steering = self.time_projection(time_code(times))
            if self.length_embedding is not None:
                steering = steering + self.length_embedding(plans.length_bucket)
        return steering

    def _mask(self, plans: PlanBatch) -> Tensor | None:
        if self.config.pad_with_end:
            return None
        return plans.bar_mask.repeat_interleave(self._tokens_per_bar, dim=1)[:, None, None]
