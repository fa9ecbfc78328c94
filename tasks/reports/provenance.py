"""Where a model in a store comes from: the artifacts before it, and the command that remakes it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from phrase_models.errors import ConfigurationError
from phrase_models.vae.refinement_config import RefinementConfig
from storage.artifacts import ArtifactRef, ArtifactStore
from storage.errors import MissingArtifact
from storage.manifest import Manifest
from storage.opening import open_store
from tasks.settings.presets import PRESETS, load_preset
from tasks.stages.registry import STAGE_NAMES

if TYPE_CHECKING:
    from phrase_models.codec import PhraseCodec

RELEASED_VAE = Path(__file__).resolve().parents[2] / "releases" / "phrase-vae-64"
"""A PhraseVAE that comes with the program."""
VAE_STAGES = ("tune_decoder", "train_vae")
"""Stages that leave a finished PhraseVAE, the one that is preferred first."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """An artifact of one of VAE_STAGES with everything that led to it.

    Attributes:
        vae: its manifest.
        before: the manifests of the artifacts it was made of, at any depth, by stage; without
            those that are gone from the store.
        scores: manifest of its `score_reconstruction`, None where it has not been scored.
    """

    vae: Manifest
    before: Mapping[str, Manifest]
    scores: Manifest | None

    @property
    def known(self) -> dict[str, Manifest]:
        """Its own manifest and those before it, by stage."""
        return {**self.before, self.vae.stage: self.vae}

    @property
    def source(self) -> str | None:
        """Name of the source of the songs, None where the artifact that tells is gone."""
        ingested = self.before.get("ingest_songs")
        return ingested.config.get("source") if ingested else None

    @property
    def composed(self) -> bool:
        """Whether the songs were composed by a stage, and not read from a data folder."""
        ingested = self.before.get("ingest_songs")
        return ingested is not None and "corpus" in ingested.inputs


def newest_vae(store: ArtifactStore) -> ArtifactRef:
    """The PhraseVAE of the newest run; while a store's first run is under way, the last finished.

    Where its decoder was tuned, it is the one with the tuned decoder.

    Those that sweeps left beside the runs are experiments; of them only what has phrases for units
    is taken, and only where no run is recorded.

    Raises:
        MissingArtifact: if there is none.
        DamagedArtifact: if it is damaged.
    """
    for stage in VAE_STAGES:
        with suppress(MissingArtifact):
            return store.latest(stage)
    for stage in VAE_STAGES:
        left = newest_of_stage(store, stage, lambda item: granularity_of(item) == "phrase")
        if left is not None:
            return left
    message = f"There is no finished PhraseVAE in {store.root}: run the pipeline first."
    raise MissingArtifact(message)


def newest_of_stage(
    store: ArtifactStore, stage: str, wanted: Callable[[Manifest], bool] = lambda _: True
) -> ArtifactRef | None:
    """What a stage left last in a store, of any run or beside them, if it left anything wanted.

    Raises:
        DamagedArtifact: if it is damaged.
    """
    for manifest in store.manifests(stage):
        if wanted(manifest):
            ref = store.find(stage, manifest.key)
            if ref is not None:
                return ref
    return None


def _vae_folder(store: Path, vae: Path | None) -> Path:
    """The PhraseVAE that is named, or in the pair that is; else the store's, else the release."""
    from phrase_models.vae.pretrained import CONFIG_FILE

    if vae is not None:
        pair = vae / "vae"
        return pair if (pair / CONFIG_FILE).exists() and not (vae / CONFIG_FILE).exists() else vae
    try:
        return newest_vae(open_store(store)).folder
    except MissingArtifact:
        if not RELEASED_VAE.is_dir():
            raise
        said = f"There is no PhraseVAE in {store}: taking the one in {RELEASED_VAE}."
        Console(stderr=True).print(said, soft_wrap=True)
        return RELEASED_VAE


def phrase_codec(store: Path, vae: Path | None = None, *, refine: bool = False) -> PhraseCodec:
    """Songs to latents and back by a PhraseVAE.

    Args:
        store: its newest PhraseVAE is used where `vae` names no other; where it has none, the one
            that comes with the program.
        vae: folder of a PhraseVAE, or of a released pair of models.
        refine: whether latents of phrases that do not come back are improved.

    Raises:
        ConfigurationError: if there is no PhraseVAE in the folder, or its latents are not of
            phrases.
        StorageError: if the store holds no PhraseVAE, or a damaged one.
    """
    from phrase_models.codec import PhraseCodec

    folder = _vae_folder(store, vae)
    codec = PhraseCodec.load(folder, "role", refinement=RefinementConfig() if refine else None)
    granularity = codec.vae.config.granularity
    if granularity != "phrase":
        message = (
            f"The VAE in {folder} has latents of a {granularity}; this needs latents of phrases."
        )
        raise ConfigurationError(message)
    return codec


def granularity_of(vae: Manifest) -> str:
    """What one latent of a VAE stands for; artifacts from before there was a choice do not say."""
    name: str = vae.config["architecture"].get("granularity", "phrase")
    return name


def provenance_of(store: ArtifactStore, vae: ArtifactRef) -> Provenance:
    """Follow the digests of a VAE's inputs through a store."""
    by_digest = store.manifests_by_digest(STAGE_NAMES)
    before: dict[str, Manifest] = {}
    manifest = store.manifest(vae)
    waiting = [*manifest.inputs.values()]
    while waiting:
        found = by_digest.get(waiting.pop())
        if found is not None and found.stage not in before:
            before[found.stage] = found
            waiting.extend(found.inputs.values())
    scores = (
        item
        for item in store.manifests("score_reconstruction")
        if vae.digest in (item.inputs.get("vae"), item.inputs.get("tuned"))
    )
    return Provenance(manifest, before, next(scores, None))


def reproducing_command(provenance: Provenance) -> str:
    """The command that makes such a VAE: the nearest preset, and the settings that differ."""
    recorded = recorded_settings(provenance)
    candidates = {
        name: dict(differences(load_preset(name).model_dump(mode="json"), recorded))
        for name in PRESETS
    }
    preset, changes = min(candidates.items(), key=lambda item: len(item[1]))
    words = ["phraseldm", "run", "--preset", preset]
    source = provenance.source
    if source is not None:
        words += ["--source", source]
    if source is not None and not provenance.composed:
        words += ["--data", "data"]
    for name, value in changes.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["--set", f"{name}={text}"]
    return shlex.join([*words, "--store", "store"])


def recorded_settings(provenance: Provenance) -> dict[str, Any]:
    """The part of a pipeline's configuration that decided a VAE, as far as it is known."""
    known = provenance.known
    settings: dict[str, Any] = {
        "vae": provenance.vae.config["architecture"],
        "infilling": _training(known.get("train_infilling")),
        "autoencoder": _training(known.get("train_autoencoder")),
        "decoder": _training(known.get("tune_decoder")),
    }
    if "train_vae" in known:
        settings["bottleneck"] = _training(known["train_vae"])
    ingested, composed = known.get("ingest_songs"), known.get("compose_corpus")
    if ingested is not None:
        settings["ingest"] = ingested.config["ingest"]
        settings["split"] = {"validation_fraction": ingested.config["validation_fraction"]}
        own = composed.config if composed else ingested.config.get("settings", {})
        settings["source"] = {
            "max_songs": ingested.config["max_songs"],
            ingested.config.get("source", ""): own,
        }
    return settings


def _training(manifest: Manifest | None) -> dict[str, Any] | None:
    """Settings of one training, None where it was left out."""
    if manifest is None:
        return None
    return {name: manifest.config[name] for name in ("objective", "training")}


def differences(known: Any, recorded: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and recorded values of the settings that differ from what is known.

    Settings that only one side has are left out: they came or went between two versions.
    """
    if not (isinstance(known, dict) and isinstance(recorded, dict)):
        if known != recorded:
            yield name, recorded
        return
    for key, value in recorded.items():
        if key in known:
            yield from differences(known[key], value, f"{name}.{key}" if name else key)
