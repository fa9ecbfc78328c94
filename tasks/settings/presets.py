"""Named configurations: `smoke`, `demo`, `cpu`, `ablation`, `base`, `paper`.

Sizes and budgets are stated here and nowhere else. What each has reached is in the README.
"""

from collections.abc import Callable

from phrase_models.baselines.pianotree.config import PianoTreeConfig, PianoTreeObjectiveConfig
from phrase_models.baselines.pianotree.specification import PianoTreeRecipeConfig
from phrase_models.binomial.config import (
    NoiseConfig,
    ObjectiveConfig,
    RollConfig,
    TimeNetworkConfig,
    UNetConfig,
)
from phrase_models.binomial.specification import BinomialRecipeConfig
from phrase_models.diffusion.config import DenoiserConfig, NoiseScheduleConfig
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.score.chords import NUM_CHORDS
from phrase_models.sources.synthetic.composer import SyntheticConfig
from phrase_models.training.config import TrainingConfig
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.refinement_config import RefinementConfig
from tasks.settings.pipeline import (
    BinomialTrainingConfig,
    LatentsConfig,
    PipelineConfig,
    SourceConfig,
    SplitConfig,
    VAETrainingConfig,
)
from tasks.settings.stages import EvaluationConfig, GenerationConfig

PLAIN_VELOCITY = NoiseScheduleConfig(min_snr_gamma=None)
"""Every timestep of the velocity weighs the same."""


def _denoiser(
    *, num_layers: int, model_dim: int, num_heads: int, feedforward_dim: int
) -> DenoiserConfig:
    """A denoiser of some size that knows sections, form, chords, texture and given slots."""
    return DenoiserConfig(
        num_layers=num_layers,
        model_dim=model_dim,
        num_heads=num_heads,
        feedforward_dim=feedforward_dim,
        form_condition=True,
        all_sections_bias=True,
        bar_lags=(2, 4, 8),
        num_chords=NUM_CHORDS,
        texture_condition=True,
        given_share=0.25,
        dropout=0.1,
        joint_dropout=0.05,
    )


def _sampler(num_steps: int) -> SamplerConfig:
    # With this weight, songs of the demo's model cross bar lines as its training songs do.
    return SamplerConfig(num_sampling_steps=num_steps, guidance_scale=1.5, bar_line_weight=1.5)


def _stage(objective: VAEObjectiveConfig, training: TrainingConfig) -> VAETrainingConfig:
    return VAETrainingConfig(objective=objective, training=training)


def smoke() -> PipelineConfig:
    """Six synthetic songs of a few bars, in under 90 s on two cores: the pipeline works."""

    def training(num_steps: int) -> TrainingConfig:
        return TrainingConfig(
            num_steps=num_steps,
            batch_size=512,
            learning_rate=2e-3,
            warmup_steps=5,
            validate_every=num_steps,
            checkpoint_every=10,
            log_every=5,
        )

    return PipelineConfig(
        preset="smoke",
        source=SourceConfig(
            synthetic=SyntheticConfig(num_songs=6, seed=0, min_bars=20, max_bars=24)
        ),
        split=SplitConfig(validation_fraction=0.34),
        vae=VAEConfig(
            model_dim=64,
            feedforward_dim=128,
            num_heads=2,
            head_dim=32,
            num_encoder_layers=1,
            num_decoder_layers=1,
            num_queries=4,
            latent_dim=16,
            dropout=0.0,
            max_tokens=48,
        ),
        infilling=_stage(VAEObjectiveConfig(bar_share=0.5), training(20)),
        autoencoder=_stage(VAEObjectiveConfig(), training(20)),
        bottleneck=_stage(VAEObjectiveConfig(), training(40)),
        decoder=_stage(VAEObjectiveConfig(), training(20)),
        pianotree=PianoTreeRecipeConfig(
            architecture=_small_pianotree(latent_dim=32),
            objective=PianoTreeObjectiveConfig(),
            training=training(10),
        ),
        binomial=BinomialTrainingConfig(
            roll=RollConfig(segment_bars=8),
            recipe=BinomialRecipeConfig(
                noise=NoiseConfig(num_timesteps=20),
                network=TimeNetworkConfig(
                    step_dim=32, beat_dim=32, bar_dim=32, num_bar_layers=1, num_heads=2
                ),
                objective=ObjectiveConfig(),
                training=training(20).model_copy(update={"batch_size": 4}),
            ),
        ),
        denoiser=_denoiser(num_layers=2, model_dim=64, num_heads=2, feedforward_dim=128),
        noise_schedule=PLAIN_VELOCITY,
        diffusion=training(40).model_copy(
            update={"batch_size": 4, "ema_decay": 0.9, "keep": "last"}
        ),
        generation=GenerationConfig(
            num_songs=2,
            num_bars=None,
            sampler=_sampler(8),
            audio_seconds=10,
        ),
        evaluation=EvaluationConfig(num_reference_songs=4, num_floor_songs=2),
    )


def demo() -> PipelineConfig:
    """Synthetic songs, some minutes on two cores: songs with form, measured honestly."""

    def training(num_steps: int) -> TrainingConfig:
        return TrainingConfig(
            num_steps=num_steps,
            batch_size=1024,
            learning_rate=1.5e-3,
            warmup_steps=40,
            validate_every=max(1, num_steps // 2),
            checkpoint_every=50,
            precision="bf16",
        )

    return PipelineConfig(
        preset="demo",
        source=SourceConfig(
            synthetic=SyntheticConfig(num_songs=96, seed=0, min_bars=20, max_bars=64)
        ),
        vae=VAEConfig(
            model_dim=128,
            feedforward_dim=512,
            num_heads=4,
            head_dim=32,
            num_encoder_layers=1,
            num_decoder_layers=1,
            num_queries=4,
            latent_dim=32,
            dropout=0.0,
            state_embeddings=True,
            bottleneck_hidden_dim=256,
            max_tokens=160,
        ),
        infilling=_stage(VAEObjectiveConfig(bar_share=0.2), training(100)),
        autoencoder=_stage(VAEObjectiveConfig(), training(200)),
        bottleneck=_stage(VAEObjectiveConfig(kl_warmup_steps=100), training(2000)),
        decoder=_stage(
            VAEObjectiveConfig(), training(300).model_copy(update={"learning_rate": 5e-4})
        ),
        # Most phrases of so short a training need it, so few and long steps.
        latents=LatentsConfig(refinement=RefinementConfig(num_steps=10, learning_rate=0.15)),
        denoiser=_denoiser(num_layers=4, model_dim=192, num_heads=3, feedforward_dim=512),
        noise_schedule=PLAIN_VELOCITY,
        diffusion=TrainingConfig(
            num_steps=400,
            batch_size=16,
            learning_rate=1e-3,
            warmup_steps=40,
            ema_decay=0.99,
            validate_every=200,
            checkpoint_every=50,
            precision="bf16",
            keep="last",
        ),
        generation=GenerationConfig(
            num_songs=4,
            sampler=_sampler(20),
            audio_seconds=45,
        ),
        evaluation=EvaluationConfig(num_reference_songs=60, num_floor_songs=20),
    )


def cpu() -> PipelineConfig:
    """POP909 on two cores in two to three hours, resumable (what it reached: README)."""

    def training(num_steps: int) -> TrainingConfig:
        return TrainingConfig(
            num_steps=num_steps,
            batch_size=1536,
            learning_rate=5e-4,
            warmup_steps=100,
            second_moment_decay=0.98,
            validate_every=3000,
            checkpoint_every=250,
            precision="bf16",
        )

    objective = VAEObjectiveConfig(transposed_share=0.75)
    return PipelineConfig(
        preset="cpu",
        source=SourceConfig(name="pop909"),
        vae=VAEConfig(
            model_dim=256,
            feedforward_dim=1024,
            num_heads=8,
            head_dim=32,
            num_encoder_layers=1,
            num_decoder_layers=1,
            num_queries=8,
            latent_dim=64,
            dropout=0.0,
            state_embeddings=True,
            bottleneck_hidden_dim=512,
            max_tokens=224,
        ),
        infilling=_stage(objective.model_copy(update={"bar_share": 0.2}), training(300)),
        autoencoder=_stage(objective, training(1500)),
        bottleneck=_stage(objective.model_copy(update={"kl_warmup_steps": 500}), training(48000)),
        decoder=_stage(objective, training(3000).model_copy(update={"validate_every": 1500})),
        binomial=BinomialTrainingConfig(
            recipe=BinomialRecipeConfig(
                noise=NoiseConfig(),
                network=TimeNetworkConfig(),
                objective=ObjectiveConfig(),
                training=TrainingConfig(
                    num_steps=12_000,
                    batch_size=8,
                    learning_rate=1e-3,
                    ema_decay=0.998,
                    validate_every=500,
                    checkpoint_every=100,
                    precision="bf16",
                ),
            ),
        ),
        denoiser=_denoiser(num_layers=8, model_dim=384, num_heads=6, feedforward_dim=1024),
        noise_schedule=PLAIN_VELOCITY,
        diffusion=TrainingConfig(
            num_steps=4000,
            batch_size=8,
            learning_rate=1e-3,
            warmup_steps=100,
            ema_decay=0.999,
            validate_every=500,
            checkpoint_every=100,
            precision="bf16",
            keep="last",
        ),
        generation=GenerationConfig(
            num_songs=20,
            sampler=_sampler(30),
            audio_seconds=60,
        ),
    )


def ablation() -> PipelineConfig:
    """POP909, some minutes a training on one core: comparisons at one small budget, by `sweep`."""

    def training(num_steps: int) -> TrainingConfig:
        return TrainingConfig(
            num_steps=num_steps,
            batch_size=1024,
            learning_rate=5e-4,
            warmup_steps=100,
            validate_every=num_steps,
            checkpoint_every=200,
            precision="bf16",
        )

    whole = cpu()
    objective = VAEObjectiveConfig()
    return whole.model_copy(
        update={
            "preset": "ablation",
            "vae": whole.vae.model_copy(update={"num_queries": 4, "max_tokens": 256}),
            "infilling": _stage(objective.model_copy(update={"bar_share": 0.2}), training(200)),
            "autoencoder": _stage(objective, training(1200)),
            "bottleneck": _stage(objective, training(1200)),
            "decoder": None,
            "pianotree": PianoTreeRecipeConfig(
                architecture=_small_pianotree(latent_dim=512),
                objective=PianoTreeObjectiveConfig(),
                training=training(1200).model_copy(update={"learning_rate": 1e-3}),
            ),
        }
    )


def base() -> PipelineConfig:
    """POP909 on one GPU in minutes: deeper networks and batches that fill it."""

    def training(num_steps: int) -> TrainingConfig:
        return TrainingConfig(
            num_steps=num_steps,
            batch_size=16384,
            learning_rate=1e-3,
            warmup_steps=300,
            second_moment_decay=0.98,
            validate_every=2000,
            checkpoint_every=1000,
            precision="bf16",
            keep="last",
        )

    objective = VAEObjectiveConfig(transposed_share=0.75, augmented_share=0.1)
    return PipelineConfig(
        preset="base",
        source=SourceConfig(name="pop909"),
        vae=VAEConfig(
            model_dim=256,
            feedforward_dim=1024,
            num_heads=8,
            head_dim=64,
            num_encoder_layers=3,
            num_decoder_layers=2,
            num_queries=8,
            latent_dim=64,
            dropout=0.0,
            state_embeddings=True,
            bottleneck_hidden_dim=512,
            max_tokens=224,
        ),
        infilling=_stage(objective.model_copy(update={"bar_share": 0.2}), training(300)),
        autoencoder=_stage(objective, training(700)),
        bottleneck=_stage(objective.model_copy(update={"kl_warmup_steps": 500}), training(10_000)),
        decoder=_stage(objective, training(1500).model_copy(update={"learning_rate": 5e-4})),
        denoiser=_denoiser(num_layers=8, model_dim=384, num_heads=6, feedforward_dim=1024),
        noise_schedule=PLAIN_VELOCITY,
        diffusion=TrainingConfig(
            num_steps=10_000,
            batch_size=64,
            learning_rate=1e-3,
            warmup_steps=300,
            ema_decay=0.999,
            validate_every=2000,
            checkpoint_every=1000,
            precision="bf16",
            keep="last",
        ),
        generation=GenerationConfig(num_songs=200, sampler=_sampler(30)),
        evaluation=EvaluationConfig(num_reference_songs=200, num_floor_songs=200),
    )


PAPER_DENOISER = DenoiserConfig(
    num_layers=6,
    model_dim=512,
    num_heads=16,
    feedforward_dim=2048,
    patch_bars=False,
    conditioning="length",
    section_style="prompt",
    global_conditioning="added",
    rotary_axes="token",
    repeat_bias=False,
    self_conditioning=False,
    condition_dropout=0.0,
    permute_letters=False,
    pad_with_end=True,
)
PAPER_NOISE_SCHEDULE = NoiseScheduleConfig(
    prediction="noise",
    min_snr_gamma=None,
    zero_terminal_snr=False,
    timestep_sampling="uniform",
)
PAPER_DIFFUSION = TrainingConfig(
    num_steps=200_000,
    batch_size=128,
    learning_rate=5e-4,
    schedule="constant",
    warmup_steps=0,
    validate_every=5000,
    checkpoint_every=2000,
    keep="last",
)
PAPER_SAMPLER = SamplerConfig(solver="ddpm", num_sampling_steps=1000, clip_value=4.037)
"""Of `paper`; for scripts that train nothing else of it."""


def paper() -> PipelineConfig:
    """The recipe of the paper as written (sections 4.2.1 and 4.3.1), for one GPU and hours.

    Batches of phrases are counted in tokens here: 128 phrases of some 24 tokens are 3072.
    """

    def training(num_steps: int) -> TrainingConfig:
        return TrainingConfig(
            num_steps=num_steps,
            batch_size=3072,
            learning_rate=1e-4,
            schedule="constant",
            warmup_steps=0,
            validate_every=1000,
            checkpoint_every=1000,
            patience=20,
        )

    objective = VAEObjectiveConfig(count_exponent=1.0, special_share=0.46)
    return PipelineConfig(
        preset="paper",
        source=SourceConfig(name="pop909"),
        vae=VAEConfig(
            model_dim=512,
            feedforward_dim=1024,
            num_heads=6,
            head_dim=64,
            num_encoder_layers=3,
            num_decoder_layers=3,
            num_queries=4,
            latent_dim=64,
            dropout=0.1,
            max_tokens=224,
        ),
        infilling=_stage(objective.model_copy(update={"bar_share": 0.5}), training(100_000)),
        autoencoder=_stage(objective, training(200_000)),
        bottleneck=_stage(objective, training(200_000)),
        latents=LatentsConfig(layout="pitch_order", refinement=None),
        # Atassi's released code: every one of 100 timesteps of a segment once an epoch, 50 epochs.
        binomial=BinomialTrainingConfig(
            roll=RollConfig(lowest_pitch=36, num_pitches=56, voices="flattened", cells="sounding"),
            recipe=BinomialRecipeConfig(
                noise=NoiseConfig(density="number"),
                network=UNetConfig(),
                objective=ObjectiveConfig(loss="l1", known_share=0.0),
                training=TrainingConfig(
                    num_steps=75_000,
                    batch_size=200,
                    learning_rate=5e-5,
                    schedule="constant",
                    warmup_steps=0,
                    validate_every=2000,
                    checkpoint_every=500,
                    keep="last",
                ),
            ),
        ),
        denoiser=PAPER_DENOISER,
        noise_schedule=PAPER_NOISE_SCHEDULE,
        diffusion=PAPER_DIFFUSION,
        generation=GenerationConfig(
            num_songs=20,
            num_bars=64,
            sampler=PAPER_SAMPLER,
        ),
    )


def _small_pianotree(latent_dim: int) -> PianoTreeConfig:
    """About as many parameters as the VAE of `cpu`."""
    return PianoTreeConfig(
        latent_dim=latent_dim,
        note_dim=64,
        position_dim=128,
        encoder_dim=256,
        decoder_dim=256,
        written_dim=64,
        decoder_note_dim=256,
    )


PRESETS: dict[str, Callable[[], PipelineConfig]] = {
    "smoke": smoke,
    "demo": demo,
    "cpu": cpu,
    "ablation": ablation,
    "base": base,
    "paper": paper,
}


def load_preset(name: str) -> PipelineConfig:
    """A preset by name.

    Raises:
        ConfigurationError: for an unknown name.
    """
    if name not in PRESETS:
        message = f"There is no preset {name!r}; there are {', '.join(PRESETS)}."
        raise ConfigurationError(message)
    return PRESETS[name]()
