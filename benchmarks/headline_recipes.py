"""What the headline run trains: networks, budgets and samplers, all in one place."""

from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.score.chords import NUM_CHORDS
from phrase_models.training.config import TrainingConfig
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from tasks.settings.presets import (
    PAPER_DENOISER,
    PAPER_DIFFUSION,
    PAPER_NOISE_SCHEDULE,
    PAPER_SAMPLER,
)


def _vae(latent_dim: int) -> VAEConfig:
    return VAEConfig(
        model_dim=256,
        feedforward_dim=1024,
        num_heads=8,
        head_dim=64,
        num_encoder_layers=3,
        num_decoder_layers=2,
        num_queries=8,
        latent_dim=latent_dim,
        dropout=0.0,
        state_embeddings=True,
        bottleneck_hidden_dim=512,
        max_tokens=224,
    )


VAES = {
    "phrase64": _vae(64),
    "phrase48": _vae(48),
    "phrase32": _vae(32),
    "phrase24": _vae(24),
    "phrase16": _vae(16),
    "small": _vae(8).model_copy(
        update={"model_dim": 32, "feedforward_dim": 64, "num_heads": 2, "head_dim": 16}
        | {"num_encoder_layers": 1, "num_decoder_layers": 1, "max_tokens": 48}
    ),
}
"""Of them "small" is for rehearsals."""


def vae_training(phase: str, *, small: bool = False) -> tuple[VAEObjectiveConfig, TrainingConfig]:
    """Objective and budget of one of the four trainings; steps of the last two are measured."""
    objective = VAEObjectiveConfig(transposed_share=0.75, augmented_share=0.1)
    changes: dict[str, dict[str, float]] = {
        "infilling": {"bar_share": 0.2},
        "autoencoder": {},
        "vae": {"kl_warmup_steps": 500},
        "decoder": {"noise_range": 0.6},
    }
    steps = {"infilling": 300, "autoencoder": 700, "vae": 10000, "decoder": 1500}[phase]
    training = TrainingConfig(
        num_steps=20 if small else steps,
        batch_size=1024 if small else 16384,
        learning_rate=5e-4 if phase == "decoder" else 1e-3,
        warmup_steps=10 if small else 300,
        second_moment_decay=0.98,
        validate_every=10**6,
        checkpoint_every=10**6,
        precision="bf16",
        log_every=50,
        keep="last",
    )
    return objective.model_copy(update=changes[phase]), training


def _denoiser(**changes: object) -> DenoiserConfig:
    return DenoiserConfig(
        num_layers=8,
        model_dim=384,
        num_heads=6,
        feedforward_dim=1024,
        form_condition=True,
        all_sections_bias=True,
        bar_lags=(2, 4, 8),
        num_chords=NUM_CHORDS,
        given_share=0.25,
        dropout=0.1,
        joint_dropout=0.05,
    ).model_copy(update=changes)


SMALL = {"num_layers": 2, "model_dim": 64, "num_heads": 2, "feedforward_dim": 64}
DENOISERS = {
    "velocity": _denoiser(),
    "sample": _denoiser(),
    "dropout": _denoiser(dropout=0.2),
    "keys": _denoiser(),
    "texture": _denoiser(dropout=0.2, texture_condition=True),
    "texture-keys": _denoiser(texture_condition=True),
    "paper": PAPER_DENOISER,
    "small": _denoiser(**SMALL),
    "small-keys": _denoiser(**SMALL, texture_condition=True),
}
TRANSPOSED = {"keys": (0.75, 1.0), "texture-keys": (0.75, 0.65), "small-keys": (0.75, 0.65)}
"""Recipes whose training songs are moved to other keys: how often, and until which share of the
steps."""
_SKIPPING = NoiseScheduleConfig(prediction="sample", min_snr_gamma=None, skip_variance=0.015)
NOISE_SCHEDULES = {
    "velocity": NoiseScheduleConfig(prediction="velocity", min_snr_gamma=None),
    "sample": NoiseScheduleConfig(prediction="sample", min_snr_gamma=None),
    "dropout": _SKIPPING,
    "keys": _SKIPPING,
    "texture": _SKIPPING,
    "texture-keys": _SKIPPING,
    "paper": PAPER_NOISE_SCHEDULE,
    "small": NoiseScheduleConfig(prediction="velocity", min_snr_gamma=None),
    "small-keys": _SKIPPING,
}
SAMPLER = SamplerConfig(num_sampling_steps=30, guidance_scale=1.5)
RELEASE_SAMPLER = SamplerConfig(
    num_sampling_steps=12, guidance_scale=2.0, guidance_interval=(0.3, 1.0)
)
SAMPLERS = {
    "texture-keys": RELEASE_SAMPLER,
    "paper": PAPER_SAMPLER,
}
"""Of the recipes that are not sampled by SAMPLER."""


def denoiser_training(recipe: str, seed: int, *, small: bool = False) -> TrainingConfig:
    """Budget of a denoiser; its steps are measured."""
    if recipe == "paper":
        return PAPER_DIFFUSION.model_copy(
            update={
                "seed": seed,
                "batch_size": 4 if small else PAPER_DIFFUSION.batch_size,
                "precision": "bf16",
            }
        )
    return TrainingConfig(
        seed=seed,
        num_steps=10000,
        batch_size=4 if small else 64,
        learning_rate=1e-3,
        warmup_steps=10 if small else 300,
        ema_decay=0.9 if small else 0.999,
        validate_every=10**6,
        checkpoint_every=10**6,
        precision="bf16",
        log_every=50,
        keep="last",
    )
