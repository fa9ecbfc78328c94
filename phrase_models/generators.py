"""The list of generators: a new one is a file with `build_generator`, and a line here."""

from pathlib import Path

from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.generator import Generator, GeneratorEntry

GENERATORS: dict[str, GeneratorEntry] = {
    entry.name: entry
    for entry in (
        GeneratorEntry(
            "phrase_ldm", "phrase_models.phrase_ldm", ("vae", "diffusion"), may_use=("priors",)
        ),
        GeneratorEntry("training_copies", "phrase_models.baselines.training_copies", ("songs",)),
        GeneratorEntry("phrase_markov", "phrase_models.baselines.phrase_markov", ("songs",)),
        GeneratorEntry("bar_shuffle", "phrase_models.baselines.bar_shuffle", ("songs",)),
        GeneratorEntry("binomial", "phrase_models.binomial.generator", ("binomial",)),
    )
}


def generator_entry(name: str) -> GeneratorEntry:
    """The entry of a name.

    Raises:
        ConfigurationError: if there is none.
    """
    if name not in GENERATORS:
        message = f"There is no generator {name!r}; there are {', '.join(GENERATORS)}."
        raise ConfigurationError(message)
    return GENERATORS[name]


def from_pretrained(folder: Path, sampler: SamplerConfig | None = None) -> Generator:
    """The generator of a release, which needs no store.

    Args:
        folder: of the release (see `phrase_models.phrase_ldm` and `binomial.pretrained`).
        sampler: solver and its settings; those of the release by default. Binomial diffusion takes
            the number of steps from it and nothing else.

    Raises:
        ConfigurationError: if there is no release, or one of a newer format.
    """
    from phrase_models.binomial.pretrained import describes_binomial, load_sampler

    if describes_binomial(folder):
        from phrase_models.binomial.generator import BinomialGenerator

        own = load_sampler(folder)
        if sampler is not None:
            own = own.model_copy(update={"num_sampling_steps": sampler.num_sampling_steps})
        return BinomialGenerator.from_pretrained(folder, own)
    from phrase_models.phrase_ldm import PhraseLDMGenerator

    return PhraseLDMGenerator.from_pretrained(folder, sampler)
