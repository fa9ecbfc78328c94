"""A song the plain way: diffusers' transformer on 512 slots, 1000 DDPM steps, fp32, `generate`.

What `bench_songs.py` compares with. Needs diffusers, which the program itself does not use.
"""

from collections.abc import Sequence

import torch
from diffusers import DDPMScheduler, StableAudioDiTModel
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from plain_t5 import PlainPhraseVAE
from torch import Tensor

from phrase_models.training.randomness import seed_everything

NUM_SLOTS, LATENT_DIM, WIDTH, NUM_HEADS, NUM_LAYERS = 512, 64, 512, 16, 6
"""The shape of the paper's network (section 4.3.1)."""
NUM_TIMESTEPS = 1000


class PlainSongs:
    """Random weights of the paper's shape: what they say does not change what they cost."""

    def __init__(self) -> None:
        seed_everything(0, "plain songs")
        self.network = StableAudioDiTModel(
            sample_size=NUM_SLOTS,
            in_channels=LATENT_DIM,
            out_channels=LATENT_DIM,
            num_layers=NUM_LAYERS,
            attention_head_dim=WIDTH // NUM_HEADS,
            num_attention_heads=NUM_HEADS,
            num_key_value_attention_heads=NUM_HEADS,
            cross_attention_dim=WIDTH,
            cross_attention_input_dim=WIDTH,
            global_states_input_dim=WIDTH,
        )
        self.schedule = DDPMScheduler(NUM_TIMESTEPS, beta_schedule="squaredcos_cap_v2")
        self.rotary = get_1d_rotary_pos_embed(
            WIDTH // NUM_HEADS // 2, NUM_SLOTS + 1, use_real=True, repeat_interleave_real=False
        )

    def _predict(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Noise of noisy latents (B, 512, 64)."""
        nothing = torch.zeros(len(noisy), 1, WIDTH)
        return self.network(
            noisy.transpose(1, 2),
            timesteps,
            encoder_hidden_states=nothing,
            global_hidden_states=nothing,
            rotary_embedding=self.rotary,
        ).sample.transpose(1, 2)

    @torch.no_grad()
    def sample(self) -> Tensor:
        """Latents (512, 64) of one song."""
        self.network.eval()
        latents = torch.randn(1, NUM_SLOTS, LATENT_DIM)
        for timestep in self.schedule.timesteps:
            noise = self._predict(latents, timestep[None])
            latents = self.schedule.step(noise, timestep, latents).prev_sample
        return latents[0]

    def train(self, num_steps: int, batch_size: int) -> None:
        """Steps of AdamW on random latents."""
        self.network.train()
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=5e-4)
        for _ in range(num_steps):
            clean = torch.randn(batch_size, NUM_SLOTS, LATENT_DIM)
            noise = torch.randn_like(clean)
            timesteps = torch.randint(NUM_TIMESTEPS, (batch_size,))
            noisy = self.schedule.add_noise(clean, noise, timesteps)
            torch.nn.functional.mse_loss(self._predict(noisy, timesteps), noise).backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()


def decode_plainly(vae: PlainPhraseVAE, latents: Tensor, limits: Sequence[int]) -> None:
    """All 512 slots in one `generate` that goes on until the longest phrase ends."""
    vae.decode(latents, limits)
