"""Songs on demand: by the models of a store or of a release, into a folder.

What only a store needs is imported where it is needed, so that a release answers sooner.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from phrase_models.batch_writing import BatchSettings, write_batch
from phrase_models.binomial.pretrained import describes_binomial, load_sampler
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.generator import Generator, InputName
from phrase_models.generators import from_pretrained, generator_entry
from phrase_models.phrase_ldm import LDM_FOLDER, PhraseLDMGenerator, release_sampler
from phrase_models.song_batch import MIDI_FOLDER, belongs_to_batch, midi_path
from storage.errors import MissingArtifact
from storage.paths import FolderKind, check_new_folder, replacing_files
from tasks.interruption import Stopped
from tasks.music.song_orders import SongOrder
from tasks.music.song_plans import read_words
from tasks.settings.stages import GenerationConfig

RELEASES = Path(__file__).resolve().parents[2] / "releases"
RELEASE, BINOMIAL_RELEASE = RELEASES / "phraseldm-pop909", RELEASES / "binomial-pop909"
"""Models that come with the program."""
ALIASES = ("champion", "candidate")
"""Names of registered models, in place of a folder."""
PHRASE_LDM, BINOMIAL = "phrase_ldm", "binomial"
SONG_FOLDER = FolderKind("songs", belongs_to_batch, (MIDI_FOLDER,))
STAGES_OF_INPUTS: dict[InputName, str] = {
    "songs": "ingest_songs",
    "diffusion": "train_diffusion",
    "priors": "fit_priors",
    "binomial": "train_binomial",
}
"""Stages that make the inputs of a generator; a PhraseVAE may come from several."""

console = Console()


@dataclass(frozen=True, slots=True)
class Models:
    """What songs can be made with.

    Attributes:
        words: what it is, for people.
        sampler: settings that songs are drawn with by default.
        diffusion: folder of the PhraseLDM, or None where there is none.
        build: the generator of a configuration; its models are loaded once.
    """

    words: str
    sampler: SamplerConfig
    diffusion: Path | None
    build: Callable[[GenerationConfig], Generator]


def find_models(store: Path, model: Path | None, generator: str) -> Models:
    """What is named, else the newest models of a store, else the release beside us.

    Args:
        store: folder of a store; need not exist.
        model: folder of a release, or one of ALIASES for a registered model, or None.
        generator: name of a family.

    Raises:
        ConfigurationError: if there is no such generator, or the release has none of that name.
        StorageError: if the store is damaged, or there are no models anywhere.
        ServiceUnreachable: if the registry is needed and does not answer.
    """
    entry = generator_entry(generator)
    if generator == BINOMIAL or (model is not None and describes_binomial(model)):
        return _of_binomial(store, model)
    if model is not None:
        if str(model) in ALIASES and not model.is_dir():
            return _of_alias(store, str(model), generator)
        if generator != PHRASE_LDM:
            message = "A release says itself what writes its songs; leave out --generator."
            raise ConfigurationError(message)
        return _of_release(model)
    try:
        return _of_store(store, generator)
    except MissingArtifact as error:
        if generator != PHRASE_LDM:
            raise
        if RELEASE.is_dir():
            return _of_release(RELEASE)
        message = (
            f"There are no trained models in {store}, and no release in {RELEASE}: run the "
            f"pipeline first, or name a release with --model ({', '.join(entry.needs)} are needed)."
        )
        raise MissingArtifact(message) from error


def _of_release(folder: Path) -> Models:
    sampler = release_sampler(folder)
    return Models(
        f"the release in {folder}",
        sampler,
        folder / LDM_FOLDER,
        _loading_once(lambda _: from_pretrained(folder), lambda _: ()),
    )


def _of_alias(store: Path, alias: str, generator: str) -> Models:
    """The registered model of an alias, by its artifacts in the store."""
    from storage.artifacts import KEY_LETTERS
    from storage.opening import existing_store
    from tasks.promotion.champions import version_of
    from tasks.promotion.versions import artifact_of, required_artifact, settings_of
    from tasks.reports.provenance import VAE_STAGES
    from tasks.stages.generate_songs import generator_inputs

    if generator != PHRASE_LDM:
        message = f"A registered model writes songs by {PHRASE_LDM} alone; leave out --generator."
        raise ConfigurationError(message)
    artifacts = existing_store(store)
    version = version_of(store, alias)
    inputs = {
        "vae": required_artifact(artifacts, version, *VAE_STAGES),
        "diffusion": required_artifact(artifacts, version, "train_diffusion"),
    }
    priors = artifact_of(artifacts, version, "fit_priors")
    if priors is not None:
        inputs["priors"] = priors
    entry = generator_entry(generator)
    made_of = ", ".join(f"{ref.stage}/{ref.key[:KEY_LETTERS]}" for ref in inputs.values())
    return Models(
        f"version {version.number} of {version.name} ({alias}): {made_of}",
        settings_of(version).generation.sampler,
        inputs["diffusion"].folder,
        lambda config: entry.build(generator_inputs(entry, inputs, config, None)),
    )


def _of_binomial(store: Path, model: Path | None) -> Models:
    """The binomial diffusion that is named, else the one trained last in a store, else ours."""
    folder = model or binomial_folder(store)
    sampler = SamplerConfig(num_sampling_steps=load_sampler(folder).num_sampling_steps)
    return Models(
        f"the binomial diffusion in {folder}",
        sampler,
        None,
        lambda config: from_pretrained(folder, config.sampler),
    )


def binomial_folder(store: Path) -> Path:
    """The binomial diffusion trained last in a store, else the one that comes with the program.

    Raises:
        StorageError: if the store is damaged.
    """
    return _newest_binomial(store) or BINOMIAL_RELEASE


def _newest_binomial(store: Path) -> Path | None:
    from storage.opening import existing_store
    from tasks.reports.provenance import newest_of_stage

    if not store.is_dir():
        return None
    newest = newest_of_stage(existing_store(store), STAGES_OF_INPUTS["binomial"])
    return None if newest is None else newest.folder


def _of_store(store: Path, generator: str) -> Models:
    from storage.artifacts import ArtifactRef
    from storage.opening import existing_store
    from tasks.reports.provenance import newest_vae
    from tasks.stages.generate_songs import generator_inputs, used_inputs

    artifacts = existing_store(store)
    entry = generator_entry(generator)
    run = artifacts.latest_run()
    inputs: dict[str, ArtifactRef] = {
        name: artifacts.latest(STAGES_OF_INPUTS[name])
        for name in entry.needs
        if name in STAGES_OF_INPUTS
    }
    for name in entry.may_use:
        if STAGES_OF_INPUTS[name] in run["refs"]:
            inputs[name] = artifacts.latest(STAGES_OF_INPUTS[name])
    if "vae" in entry.needs:
        inputs["vae"] = newest_vae(artifacts)
    diffusion = inputs.get("diffusion")
    return Models(
        f"{generator} of run {run['number']} ({run['name']}) in {store}",
        SamplerConfig.model_validate(run["extra"]["generation"]["sampler"]),
        diffusion.folder if diffusion else None,
        _loading_once(
            lambda config: entry.build(generator_inputs(entry, inputs, config, None)),
            lambda config: used_inputs(entry, inputs, config),
        ),
    )


def _loading_once(
    load: Callable[[GenerationConfig], Generator],
    inputs_of: Callable[[GenerationConfig], tuple[InputName, ...]],
) -> Callable[[GenerationConfig], Generator]:
    """Builds generators of the same inputs from one loaded generator; samplers may differ."""
    loaded: dict[tuple[InputName, ...], Generator] = {}

    def build(config: GenerationConfig) -> Generator:
        inputs = inputs_of(config)
        if inputs not in loaded:
            loaded[inputs] = load(config)
        generator = loaded[inputs]
        if isinstance(generator, PhraseLDMGenerator):
            return generator.with_sampler(config.sampler)
        return generator

    return build


def generate(
    store: Path,
    output: Path,
    *,
    force: bool = False,
    model: Path | None = None,
    form: Path | None = None,
    texture: Path | None = None,
    generator: str = PHRASE_LDM,
    **words: Any,
) -> None:
    """Make songs and write them into a folder, with a gallery.

    Args:
        store: whose newest models are used, where it has any.
        output: folder of the songs.
        force: whether songs that it holds already are replaced.
        model: folder of a release to use instead, or one of ALIASES.
        form: file with a grid, or None to leave the form to the models.
        texture: file with a line of cells a bar, or None to leave the texture to the models.
        generator: name of the family.
        **words: what else is asked for; see `SongOrder.read`.

    Raises:
        ConfigurationError: if the request cannot be met, or there is no generator of that name.
        StorageError: if there are no models, a store is damaged, or the songs cannot be written.
    """
    order = SongOrder.read(
        form=None if form is None else read_words(form, "form"),
        texture=None if texture is None else read_words(texture, "texture"),
        **words,
    )
    model, generator = _named_family(model, generator)
    models = find_models(store, model, generator)
    if models.diffusion is None and generator == BINOMIAL and "guidance_scale" in order.sampling:
        message = "Binomial diffusion has no guidance; leave out --guidance."
        raise ConfigurationError(message)
    config, settings = order.batch(models, generator)
    check_new_folder(output, SONG_FOLDER, force=force)
    maker = models.build(config)
    maker.check(settings.request)
    console.print(f"Songs by {models.words}", soft_wrap=True)
    _write(maker, settings, output)


def _named_family(model: Path | None, generator: str) -> tuple[Path | None, str]:
    """Folder and family, where --model may have the name of a family that has a release.

    Raises:
        ConfigurationError: if both options name a family, and not the same.
    """
    if model is None or model.is_dir() or str(model) not in {PHRASE_LDM, BINOMIAL}:
        return model, generator
    if generator not in {PHRASE_LDM, str(model)}:
        message = f"--model {model} and --generator {generator} say different things; give one."
        raise ConfigurationError(message)
    return None, str(model)


def _write(maker: Generator, settings: BatchSettings, output: Path) -> None:
    """Write songs, and say where they are."""
    had_songs = bool(SONG_FOLDER.files_in(output))
    try:
        with (
            replacing_files(output, SONG_FOLDER) as aside,
            console.status("Making songs") as status,
        ):
            songs = write_batch(maker, settings, aside, lambda _, text: status.update(text))
    except Stopped as error:
        raise Stopped(_words_when_stopped(output, had_songs=had_songs)) from error
    for song in songs:
        console.print(
            f"{midi_path(output, song.name)}  {song.song.num_bars} bars, "
            f"{song.song.num_notes} notes  {song.request.section_layout}",
            soft_wrap=True,
        )
    console.print(f"Gallery  {output / 'gallery.html'}", soft_wrap=True)


def _words_when_stopped(output: Path, *, had_songs: bool) -> str:
    """What is in the folder after songs were stopped."""
    if had_songs:
        return f"Stopped: the earlier songs in {output} stay as they were."
    finished = [path for path in SONG_FOLDER.files_in(output) if path.suffix == ".mid"]
    if not finished:
        return "Stopped: no song was finished; run the same command to begin again."
    return (
        f"Stopped: songs that were finished are in {output} ({len(finished)}), without a gallery; "
        "run the same command with --force to make all of them."
    )
