"""Every preset is a typed object from which both models can be built."""

import pytest

from phrase_models.diffusion.denoiser import Denoiser
from phrase_models.errors import ConfigurationError
from phrase_models.tokens.song_layout import slots_per_bar
from phrase_models.vae.model import PhraseVAE
from tasks.settings.pipeline import PipelineConfig, parse_assignments
from tasks.settings.presets import PRESETS, load_preset


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_builds_both_models_and_survives_json(name):
    config = load_preset(name)
    assert config.preset == name
    assert PipelineConfig.model_validate_json(config.model_dump_json()) == config
    PhraseVAE(config.vae)
    Denoiser(config.denoiser, slots_per_bar(config.latents.layout), config.vae.latent_dim)


def test_the_paper_preset_has_the_papers_sizes():
    config = load_preset("paper")
    vae = sum(parameter.numel() for parameter in PhraseVAE(config.vae).parameters())
    # With its section prompt; without, the cross-attention that the paper leaves idle is not built.
    with_sections = config.denoiser.model_copy(update={"conditioning": "sections"})
    denoiser = Denoiser(with_sections, 4, 64)
    assert 13_500_000 < vae < 15_000_000
    assert 28_000_000 < sum(p.numel() for p in denoiser.parameters()) < 34_000_000


def test_what_each_preset_does_about_form_refinement_and_errors():
    configs = {name: load_preset(name) for name in PRESETS}
    refined = {name for name, config in configs.items() if config.latents.refinement}
    tuned = {name for name, config in configs.items() if config.decoder}
    formed = {
        name
        for name, config in configs.items()
        if config.denoiser.form_condition and config.denoiser.num_chords == 49
    }
    assert refined == {"smoke", "demo", "cpu", "ablation", "base"}
    assert tuned == {"smoke", "demo", "cpu", "base"}
    assert formed == {"smoke", "demo", "cpu", "ablation", "base"}
    for config in configs.values():
        if config.denoiser.form_condition:
            assert config.generation.sampler.copies
            assert config.noise_schedule.prediction == "velocity"
            assert config.noise_schedule.min_snr_gamma is None


def test_one_seed_stands_for_all():
    config = load_preset("smoke").with_overrides({"seed": "7"})
    trainings = (config.infilling, config.autoencoder, config.bottleneck, config.decoder)
    assert [stage.training.seed for stage in trainings] == [7] * 4
    assert (config.diffusion.seed, config.generation.seed) == (7, 7)


def test_overrides_reach_the_field_and_keep_the_rest():
    config = load_preset("smoke")
    changed = config.with_overrides({"vae.latent_dim": "24", "generation.sections": "i4 A8"})
    assert changed.vae.latent_dim == 24
    assert changed.generation.sections == "i4 A8"
    assert changed.model_copy(update={"vae": config.vae, "generation": config.generation}) == config


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"vae.latent_size": "3"}, "There is no setting 'vae.latent_size'"),
        ({"nothing": "3"}, "There is no setting 'nothing'"),
        ({"vae.latent_dim": "many"}, "Setting vae.latent_dim = 'many' does not do"),
        ({"vae.latent_dim": "1"}, "Setting vae.latent_dim = 1 does not do"),
        ({"ingest.grid": "48"}, "48 places a bar (ingest.grid) and the PhraseVAE says 16"),
    ],
)
def test_impossible_overrides_are_refused_with_a_sentence(overrides, sentence):
    with pytest.raises(ConfigurationError) as caught:
        load_preset("smoke").with_overrides(overrides)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="There is no preset 'big'; there are smoke, demo"):
        load_preset("big")


def test_assignments_need_an_equals_sign():
    assert parse_assignments(["a.b=1=2"]) == {"a.b": "1=2"}
    with pytest.raises(ConfigurationError, match="is not of the form"):
        parse_assignments(["a.b"])
